"""How a replica is cut over devices, and which cuts a model allows: as vLLM 0.32 enforces it. Pure.

What a cut costs in memory is `memory`'s to say, and which machines it stands on `placement`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.planning.architecture import (
    ByExpert,
    ByKvHead,
    ByRow,
    Keys,
    Latent,
    Profile,
    Split,
    Weight,
)

VOCABULARY_PADDING = 64
"""vLLM pads the vocabulary to a multiple of this, and then cuts it into equal shards."""


@dataclass(frozen=True, slots=True, order=True)
class Parallel:
    """Parallel sizes of one replica; `devices` of them in all."""

    tensor: int = 1
    """Each layer is cut over so many devices."""
    pipeline: int = 1
    """The layers are dealt to so many stages."""
    data: int = 1
    """Copies of everything but the experts, which work on different requests in step."""
    expert: bool = False
    """Whether routed experts are dealt whole over `tensor x data` ranks, instead of cut."""
    context: int = 1
    """Ranks of a tensor parallel group that share one KV cache by tokens (vLLM's decode context
    parallel size, DCP); takes no devices of its own."""

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        return self.tensor * self.pipeline * self.data

    @property
    def ranks(self) -> int:
        """Ranks that share the experts."""
        return self.tensor * self.data

    def __str__(self) -> str:
        parts = [f"tensor {self.tensor}"]
        if self.pipeline > 1:
            parts.append(f"pipeline {self.pipeline}")
        if self.data > 1:
            parts.append(f"data {self.data}")
        if self.expert:
            parts.append(f"experts over {self.ranks}")
        if self.context > 1:
            parts.append(f"context {self.context}")
        return ", ".join(parts)


def padded(rows: int) -> int:
    """Rows of a vocabulary table as the engine holds it."""
    return -(-rows // VOCABULARY_PADDING) * VOCABULARY_PADDING


def stages(layers: int, pipeline: int) -> tuple[tuple[int, int], ...]:
    """First and last-but-one layer of each stage, as vLLM deals them (its `get_pp_indices`).

    What is left over goes to the stages before the last, from behind: the ends hold embeddings.
    """
    each, rest = divmod(layers, pipeline)
    sizes = [each] * pipeline
    for behind in range(2, rest + 2):
        sizes[-behind] += 1
    starts = [sum(sizes[:number]) for number in range(pipeline)]
    return tuple((start, start + size) for start, size in zip(starts, sizes, strict=True))


@dataclass(frozen=True, slots=True)
class Cuts:
    """What of a model bounds its layouts, gathered once: many layouts are asked about."""

    layers: int
    heads: int
    kv_heads: tuple[int, ...]
    """Distinct numbers of KV heads."""
    divisors: tuple[tuple[int, str], ...]
    """What the tensor parallel size must divide, with words."""
    experts: int
    expert_widths: tuple[int, ...]
    encoder: bool
    memories: frozenset[type]

    @classmethod
    def of(cls, profile: Profile) -> Cuts:
        """Gather them."""
        weights = tuple(_weights(profile))
        divisors: dict[int, str] = {}
        for cut in (weight.cut for weight in weights):
            if isinstance(cut, Split):
                divisors.setdefault(cut.units, f"{cut.units} {cut.what}")
            elif isinstance(cut, ByRow):
                divisors.setdefault(padded(cut.rows), f"a vocabulary of {padded(cut.rows)}")
        widths = {w.cut.units for w in weights if isinstance(w.cut, ByExpert)}
        kv_heads = {w.cut.heads for w in weights if isinstance(w.cut, ByKvHead)}
        return cls(
            layers=len(profile.layers),
            heads=profile.heads,
            kv_heads=tuple(sorted(kv_heads)),
            divisors=tuple(divisors.items()),
            experts=profile.experts,
            expert_widths=tuple(sorted(widths)),
            encoder=bool(profile.encoder),
            memories=frozenset(type(m) for layer in profile.layers for m in layer.memory),
        )

    @property
    def stages(self) -> int:
        """Most stages that the layers are dealt to."""
        return 1 if self.encoder else self.layers

    def why_not(self, parallel: Parallel) -> str:
        """Why the model cannot be cut so, in words that end a sentence; empty when it can."""
        return (
            self._why_not_tensor(parallel.tensor)
            or self.why_not_pipeline(parallel.pipeline)
            or self._why_not_experts(parallel)
            or self._why_not_context(parallel)
        )

    def _why_not_tensor(self, tensor: int) -> str:
        if self.heads % tensor:
            return f"tensor {tensor} does not divide {self.heads} attention heads"
        for heads in self.kv_heads:
            if heads % tensor and tensor % heads:
                return f"tensor {tensor} neither divides {heads} KV heads nor is divided by them"
        for units, what in self.divisors:
            if units % tensor:
                return f"tensor {tensor} does not divide {what}"
        return ""

    def why_not_pipeline(self, pipeline: int) -> str:
        """Why the layers are not dealt to so many stages; empty when they are."""
        if pipeline > self.layers:
            return f"pipeline {pipeline} is more stages than {self.layers} layers"
        if pipeline > 1 and self.encoder:
            return "a model of encoder and decoder is not cut into stages"
        return ""

    def _why_not_experts(self, parallel: Parallel) -> str:
        ranks = parallel.ranks
        if not self.experts:
            if parallel.expert:
                return "there are no experts to deal"
            if parallel.data > 1:
                return "data ranks share nothing in a dense model: replicas do the same"
            return ""
        if parallel.expert:
            if ranks == 1:
                return "one rank has all experts anyway"
            if self.experts < ranks:
                return f"{self.experts} experts are fewer than {ranks} ranks"
            return ""
        for width in self.expert_widths:
            if width % ranks:
                return f"{ranks} ranks do not divide experts of {width} columns"
        return ""

    def _why_not_context(self, parallel: Parallel) -> str:
        """As vLLM's `verify_with_parallel_config`: only what ranks hold repeatedly is shared."""
        context, tensor = parallel.context, parallel.tensor
        if context == 1:
            return ""
        if tensor % context:
            return f"context {context} does not divide tensor {tensor}"
        if self.memories == {Latent}:
            return ""
        if self.memories != {Keys} or len(self.kv_heads) != 1:
            return "only layers of one kind of attention share a KV cache by tokens"
        heads = self.kv_heads[0]
        if context > tensor // heads:
            return (
                f"tensor {tensor} repeats {heads} KV heads {tensor // heads} times, not {context}"
            )
        if (self.heads // heads) % context:
            return f"context {context} does not divide {self.heads // heads} queries per KV head"
        return ""


def _weights(profile: Profile) -> Iterator[Weight]:
    yield from (*profile.before, *profile.after, *profile.towers)
    for layer in {id(layer): layer for layer in (*profile.layers, *profile.encoder)}.values():
        yield from layer.weights


def tensor_sizes(cuts: Cuts, devices: int) -> list[int]:
    """Tensor parallel sizes that the model allows, up to `devices`."""
    sizes = range(1, max(1, devices) + 1)
    return [size for size in sizes if not cuts.why_not(Parallel(tensor=size))]
