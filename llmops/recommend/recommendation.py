"""The words of the answer: options with reasons, what was passed over, what would change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmops.catalog import OpenModel
from llmops.planning import Figure

Way = Literal["as it is", "fine-tuned", "a classifier on its embeddings"]
"""How a model comes to do the task."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence, and who found that it is so."""

    text: str
    source: str = ""
    """A paper, `Authors (year), title, where`; empty for what follows from the request or the
    catalogue."""
    points: int = 0
    """How much it weighs in the ranking; below 0 against the option."""


@dataclass(frozen=True, slots=True)
class Option:
    """A model and a way to use it."""

    name: str
    model: OpenModel
    way: Way
    architecture: str
    """The class that would be served."""
    memory: Figure
    """Bytes of the weights as they would be served."""
    four_bits: Figure | None
    """Bytes of the weights in 4 bits; None where that makes no sense."""
    price: Figure | None
    """US dollars an hour; None when nobody could say."""
    served: str
    """Whether and how vLLM 0.32 serves it, as a sentence."""
    reasons: tuple[Reason, ...]

    @property
    def points(self) -> int:
        """Sum of what its reasons weigh."""
        return sum(reason.points for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A model that cannot be had or used for this request."""

    name: str
    reason: str
    price: float | None = None
    """What it costs an hour, when that is the reason."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would change the answer, and to what."""

    when: str
    then: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer."""

    task: str
    assumed: tuple[str, ...]
    """What nobody said and was taken for granted, in sentences."""
    options: tuple[Option, ...]
    """The best first; empty when nothing will do."""
    passed_over: tuple[PassedOver, ...]
    changes: tuple[Change, ...]
