"""The words for an adapter: what was looked up of it, and what a plan says of it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kinship = Literal["same", "other", "untold"]
"""Whether the weights that an adapter was trained on are those that are served; `untold` where it
brings no lineage."""


@dataclass(frozen=True, slots=True)
class AdaptedLayer:
    """One layer that an adapter changes: matrices of `(rank, inputs)` and `(outputs, rank)`."""

    name: str
    """As in the model: `model.layers.0.self_attn.q_proj`."""
    outputs: int
    inputs: int
    rank: int


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What is known of an adapter without loading it."""

    source: str
    """As the user wrote it."""
    digest: str
    """SHA-256 over the digests of its files."""
    layers: tuple[AdaptedLayer, ...]
    base: Kinship
    trained_on: str = ""
    """Source and revision of the weights that it was trained on; empty where it does not say."""
    unsupported: str = ""
    """What of its kind the engine does not take; empty when nothing is known against it."""
    run: str = ""
    """Name and number of the run that made it, such as `support-style/3`; empty for another's."""
    data: str = ""
    """Digest of the manifest of the data that made it; empty where it does not say."""
    refused: str = ""
    """Why its evaluation refused it; empty when it passed, or none was asked for."""

    @property
    def rank(self) -> int:
        """The largest of its layers' ranks."""
        return max((layer.rank for layer in self.layers), default=0)


@dataclass(frozen=True, slots=True)
class AdapterRoom:
    """What an engine keeps room for: so many adapters of one release, each of at most this rank."""

    rank: int = 0
    """One of the engine's own sizes; 0 for no adapters."""
    count: int = 1

    @property
    def at_once(self) -> int:
        """Adapters that answer in one batch: those of the release that serves, and one of the next.
        Requests for a further one wait for the next batch."""
        return self.count + 1

    @property
    def kept(self) -> int:
        """Adapters that the engine keeps in the machine's memory: of those two releases all, and of
        two that still drain. What does not fit there it reads from the disk again, and nobody would
        check that."""
        return 4 * self.count


@dataclass(frozen=True, slots=True)
class PlannedAdapter:
    """The adapter part of a plan: enough to find it again, and to know that it is the same."""

    source: str
    digest: str
    rank: int
    run: str = ""
    data: str = ""
    trained_on: str = ""
    despite_gate: str = ""
    """Why it is served although its evaluation refused it; empty when it did not."""


__all__ = ["AdaptedLayer", "AdapterFacts", "AdapterRoom", "Kinship", "PlannedAdapter"]
