"""All layouts of a model on machines of one kind, each legal or with the reason why not. Pure.

Tensor parallel ranks exchange results twice in every layer, so they stay inside one fast domain
(the devices that NVLink, Infinity Fabric or ICI joins, else one machine); stages of a pipeline and
ranks of data exchange once in a while, and may lie on different machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from llmops.planning.architecture import Latent
from llmops.planning.parallel import Cuts, Parallel, tensor_sizes


@dataclass(frozen=True, slots=True)
class Site:
    """What layouts stand on: machines of one kind."""

    count: int
    """Accelerators in a machine."""
    machines: int
    """Machines that a replica uses."""
    domain: int
    """Accelerators of one fast domain: those of a machine, or more where a rack is one (NVL72)."""

    @property
    def fast(self) -> int:
        """Accelerators that tensor parallel ranks may lie on."""
        return max(1, min(self.domain, self.count * self.machines))


@dataclass(frozen=True, slots=True)
class Verdict:
    """A layout, and why it is none; empty when it is legal."""

    parallel: Parallel
    reason: str
    machines: int
    """Machines that it takes, wholly when more than one."""


def layouts(cuts: Cuts, site: Site) -> Iterator[Verdict]:
    """Every tensor x pipeline x data layout up to the site's devices, experts cut and dealt.

    Layouts over several machines use each of them wholly, since nobody rents a part of one.
    """
    for parallel in _products(cuts, site, range(1, site.count * site.machines + 1)):
        for kind in _kinds(cuts, parallel):
            yield judge(cuts, kind, site)


def judge(cuts: Cuts, parallel: Parallel, site: Site) -> Verdict:
    """Whether one layout is legal on the site."""
    machines = -(-parallel.devices // site.count)
    return Verdict(parallel, cuts.why_not(parallel) or _misplaced(parallel, site), machines)


def legal(cuts: Cuts, site: Site) -> Iterator[Parallel]:
    """The legal ones among `layouts` that use all machines of the site: without a word on others,
    which are most of them."""
    for parallel in _products(cuts, site, tensor_sizes(cuts, site.fast)):
        if -(-parallel.devices // site.count) == site.machines:
            for kind in _kinds(cuts, parallel):
                if not judge(cuts, kind, site).reason:
                    yield kind


def _products(cuts: Cuts, site: Site, tensors: Iterable[int]) -> Iterator[Parallel]:
    devices = site.count * site.machines
    most_data = devices if cuts.experts else 1
    for tensor in tensors:
        for pipeline in range(1, devices // tensor + 1):
            for data in range(1, min(most_data, devices // (tensor * pipeline)) + 1):
                parallel = Parallel(tensor, pipeline, data)
                if parallel.devices <= site.count or parallel.devices % site.count == 0:
                    yield parallel


def _kinds(cuts: Cuts, parallel: Parallel) -> Iterator[Parallel]:
    yield parallel
    if cuts.experts and parallel.ranks > 1:
        yield replace(parallel, expert=True)
    if (most := _most_context(cuts, parallel)) > 1:
        yield replace(parallel, context=most)
        if cuts.experts:
            yield replace(parallel, context=most, expert=True)


def _most_context(cuts: Cuts, parallel: Parallel) -> int:
    """How often ranks hold the same KV cache: so many may share it by tokens instead."""
    if cuts.memories == {Latent}:
        return parallel.tensor
    if len(cuts.kv_heads) != 1 or len(cuts.memories) != 1:
        return 1
    return max(1, parallel.tensor // cuts.kv_heads[0])


def _misplaced(parallel: Parallel, site: Site) -> str:
    if parallel.tensor > site.fast:
        return (
            f"tensor {parallel.tensor} leaves the fast domain of {site.fast}: every layer would"
            " wait for the network; pipeline or data ranks may lie on other machines"
        )
    if parallel.devices > site.count * site.machines:
        return f"{parallel.devices} devices are more than {site.machines} x {site.count}"
    if parallel.devices <= site.count:
        return ""
    if site.fast % parallel.tensor:
        return f"groups of {parallel.tensor} do not fill machines of {site.count}"
    if parallel.data > 1 and not parallel.expert and parallel.ranks > site.fast:
        return (
            f"experts cut over {parallel.ranks} ranks would wait for the network in every layer;"
            " dealt whole, each token goes to its experts only"
        )
    return ""
