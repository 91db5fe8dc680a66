"""Bytes of weights on each device of a layout: sharded, repeated and padded as vLLM 0.32 does it.

Pure. What a device holds follows from the cut of each weight (`architecture.profile`); a tied head
is held a second time where the last pipeline stage is not the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llmops.planning.architecture import (
    ByExpert,
    ByKvHead,
    ByRow,
    Cut,
    Layer,
    Profile,
    Weight,
    Whole,
)
from llmops.planning.parallel import Parallel, padded, stages

FLOAT32 = 4
"""Bytes of an element that the engine keeps in float32 whatever its own format."""

BytesOf = Callable[[str, Weight], int]
"""Bytes of a weight, by its full name."""

Pieces = Mapping[Cut, int]
"""Bytes by how they are cut."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A model's weights in bytes as the engine holds them, ready for many layouts."""

    before: Pieces
    after: Pieces
    tied: Pieces
    """The embedding table once more, where it serves as the head too."""
    sums: tuple[Pieces, ...]
    """Of the first layer, the first two and so on, from none: a stage is a difference of two."""

    @classmethod
    def of(cls, profile: Profile, element: int, bytes_of: BytesOf | None = None) -> Stored:
        """Sum them up.

        Args:
            profile: The model.
            element: Bytes of an element that is not quantised.
            bytes_of: What one weight takes, by its full name, where that is something else.
        """
        known: dict[int, Pieces] = {}

        def one(number: int, layer: Layer, stem: str) -> Pieces:
            prefix = f"{stem}.{number}."
            if bytes_of is not None:  # what stays unquantised may depend on the layer's number
                return _pieces(layer.weights, element, bytes_of, prefix)
            if id(layer) not in known:
                known[id(layer)] = _pieces(layer.weights, element, None, prefix)
            return known[id(layer)]

        sums: list[Pieces] = [{}]
        for number, layer in enumerate(profile.layers):
            sums.append(_added(sums[-1], one(number, layer, profile.stem)))
        before = _pieces((*profile.before, *profile.towers), element, bytes_of)
        for number, layer in enumerate(profile.encoder):
            before = _added(before, one(number, layer, "encoder"))
        tables = [w for w in profile.before if isinstance(w.cut, ByRow)]
        return cls(
            before=before,
            after=_pieces(profile.after, element, bytes_of),
            tied=_pieces(tables[:1], element, bytes_of) if profile.tied else {},
            sums=tuple(sums),
        )

    @property
    def total(self) -> int:
        """Bytes of the whole model, once."""
        return sum(sum(pieces.values()) for pieces in (self.before, self.after, self.sums[-1]))

    def on(self, parallel: Parallel) -> tuple[int, ...]:
        """Bytes on one device of each pipeline stage: of the rank that holds most.

        Only ranks of a legal layout (`parallel.Cuts.why_not`) share evenly.
        """
        found = []
        spans = stages(len(self.sums) - 1, parallel.pipeline)
        for number, (start, end) in enumerate(spans):
            none, most = self.sums[start], self.sums[end]
            held = sum(share(cut, most[cut] - none.get(cut, 0), parallel) for cut in most)
            if number == 0:
                held += _shares(self.before, parallel)
            if number == len(spans) - 1:
                held += _shares(self.after, parallel)
                held += _shares(self.tied, parallel) if number else 0
            found.append(held)
        return tuple(found)

    def tables(self, parallel: Parallel) -> int:
        """Bytes of the vocabulary's tables on a rank.

        vLLM's CPU engine keeps each once more, packed for its kernels, beside the original that
        tokens are looked up in (`UnquantizedEmbeddingMethod`: `remove_weight=False`); of other
        weights only the packed form stays.
        """
        parts = (self.before, self.after)
        found = ((cut, size) for part in parts for cut, size in part.items())
        return sum(share(cut, size, parallel) for cut, size in found if isinstance(cut, ByRow))


def _added(one: Pieces, other: Pieces) -> Pieces:
    return {cut: one.get(cut, 0) + other.get(cut, 0) for cut in {**one, **other}}


def _shares(pieces: Pieces, parallel: Parallel) -> int:
    return sum(share(cut, size, parallel) for cut, size in pieces.items())


def _pieces(
    weights: Iterable[Weight], element: int, bytes_of: BytesOf | None, prefix: str = ""
) -> Pieces:
    found: dict[Cut, int] = {}
    for weight in weights:
        if weight.float32:
            size = weight.elements * FLOAT32
        elif bytes_of is None:
            size = weight.elements * element
        else:
            size = bytes_of(f"{prefix}{weight.name}", weight)
        found[weight.cut] = found.get(weight.cut, 0) + size
    return found


def share(cut: Cut, size: int, parallel: Parallel) -> int:
    """Of `size` bytes that are cut so, what the fullest rank holds."""
    tensor = parallel.tensor
    if isinstance(cut, Whole):
        return size
    if isinstance(cut, ByKvHead):
        return size * max(1, cut.heads // tensor) // cut.heads
    if isinstance(cut, ByRow):
        return size * padded(cut.rows) // (cut.rows * tensor)
    if isinstance(cut, ByExpert):
        if parallel.expert:
            return size * -(-cut.experts // parallel.ranks) // cut.experts
        return size if cut.whole else size // parallel.ranks
    return size // tensor
