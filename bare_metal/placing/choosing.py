"""Which hosts serve: healthy ones, of as few scalable units as can be, those that serve already
first. Pure.

The same question has the same answer: hosts are taken in the order of the file. A unit that is just
large enough is taken before a larger one, so that what needs many hosts of one unit finds them. A
host that may not be taken is named with the reason, and never forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bare_metal.inventory import Cluster, Placed, hosts_of
from llmops.errors import RefusedError
from llmops.spec import BareMetalTarget, Deployment, Hardware, Parallelism, nearest

MOST_NAMED = 5
"""Hosts that a message names."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A host that may not be taken."""

    host: str
    why: str


class NoHosts(RefusedError):
    """Fewer hosts may be taken than are needed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The hosts that serve."""

    head: Placed
    """Where the endpoint and the agent are; it serves, too."""
    workers: tuple[Placed, ...]
    left_out: tuple[LeftOut, ...]
    """Hosts that could have been taken otherwise."""

    @property
    def hosts(self) -> tuple[Placed, ...]:
        """The head, then all others."""
        return (self.head, *self.workers)

    @property
    def units(self) -> tuple[str, ...]:
        """The scalable units that they stand in."""
        return tuple(dict.fromkeys(host.unit for host in self.hosts))


def hosts_needed(deployment: Deployment, target: BareMetalTarget, cluster: Cluster) -> int:
    """How many hosts the service takes.

    As asked; else by the GPUs that a stage of a replica takes and a host has, where both are said;
    else one for each stage of the most replicas where hosts have GPUs, and one for each stage of
    one replica where they have none.
    """
    if target.count != "auto":
        return target.count
    layout = deployment.parallelism
    stages = layout.pipeline if isinstance(layout, Parallelism) else 1
    if cluster.gpus is None:
        return stages
    parts, each = deployment.scaling.replicas.high * stages, _gpus_of_a_stage(deployment)
    if each is None or each > cluster.gpus.count:
        return parts
    return max(stages, -(-parts // (cluster.gpus.count // each)))


def _gpus_of_a_stage(deployment: Deployment) -> int | None:
    hardware, layout = deployment.hardware, deployment.parallelism
    if isinstance(hardware, Hardware) and hardware.count is not None:
        return hardware.count
    return layout.tensor if isinstance(layout, Parallelism) else None


def choose(
    cluster: Cluster,
    target: BareMetalTarget,
    count: int,
    unfit: Mapping[str, str],
    serving: Collection[str] = (),
) -> Choice:
    """The hosts that serve.

    Args:
        cluster: Whose hosts they are.
        target: Which may be taken at all.
        count: How many are needed, 1 or more.
        unfit: Why a host may not be taken, by its name.
        serving: Names of those that serve it now, the head first.

    Raises:
        NoHosts: When there are not as many.
    """
    asked = _asked(cluster, target)
    fit = [host for host in asked if host.name not in unfit]
    left = tuple(LeftOut(host.name, unfit[host.name]) for host in asked if host.name in unfit)
    if len(fit) < count:
        raise _too_few(asked, fit, left, count)
    taken = _kept(fit, list(serving), count)
    free = [host for host in fit if host not in taken]
    taken += _together(free, taken, count - len(taken), ordered=bool(target.hosts))
    return Choice(taken[0], tuple(taken[1:]), left)


def _asked(cluster: Cluster, target: BareMetalTarget) -> list[Placed]:
    there = {host.name: host for host in hosts_of(cluster)}
    for at, name in enumerate(target.hosts):
        if name not in there:
            near = nearest(name, there)
            raise NoHosts(
                f"no host '{name}' in the cluster {cluster.name}", path=f"target.hosts[{at}]",
                hint=f"did you mean '{near}'?" if near else f"it has {', '.join(list(there)[:3])}…",
            )  # fmt: skip
    asked = [there[name] for name in dict.fromkeys(target.hosts)] or list(there.values())
    for host in asked:
        if not host.address:
            raise NoHosts(
                f"nothing says how {host.name} is reached", path="target.cluster",
                hint="write addresses for its unit, or address for the host, in the cluster's file",
            )  # fmt: skip
    return asked


def _kept(fit: list[Placed], serving: list[str], count: int) -> list[Placed]:
    """Those that serve already and still may, in their order; moving them would help nobody."""
    by_name = {host.name: host for host in fit}
    return [by_name[name] for name in serving if name in by_name][:count]


def _together(
    free: list[Placed], taken: list[Placed], count: int, *, ordered: bool
) -> list[Placed]:
    """So many more, near to those that are taken."""
    if not count:
        return []
    if ordered:
        return free[:count]
    units: dict[str, list[Placed]] = {}
    for host in free:
        units.setdefault(host.unit, []).append(host)
    near = {host.unit for host in taken}
    chosen: list[Placed] = []
    while len(chosen) < count:
        missing = count - len(chosen)
        name = min(units, key=lambda unit: _rank(unit, units[unit], missing, near))
        chosen += units.pop(name)[:missing]
    return chosen


def _rank(
    unit: str, hosts: list[Placed], missing: int, near: set[str]
) -> tuple[bool, bool, int, str]:
    """Units in which some are taken; then the smallest that has all; then the largest."""
    enough = len(hosts) >= missing
    return unit not in near, not enough, len(hosts) if enough else -len(hosts), hosts[0].name


def _too_few(
    asked: list[Placed], fit: list[Placed], left: tuple[LeftOut, ...], count: int
) -> NoHosts:
    named = "; ".join(f"{one.host}: {one.why}" for one in left[:MOST_NAMED])
    more = f"; and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    reason = f" ({named}{more})" if left else ""
    return NoHosts(
        f"{count} hosts are needed, and {len(fit)} of {len(asked)} may be taken{reason}",
        path="target.count",
        hint="repair them and look again with llmops cluster check, or ask for fewer: target.count"
        if left else "ask for fewer hosts: target.count, or name more in target.hosts",
    )  # fmt: skip


__all__ = ["Choice", "LeftOut", "NoHosts", "choose", "hosts_needed"]
