"""What more data or a larger model would buy: a scaling law, and where it must not be asked. Pure.

The law is Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022), equation 2,
L(N, D) = E + A / N^alpha + B / D^beta, with N parameters and D tokens of training; with one of the
two fixed, what it contributes is part of E (Kaplan et al., "Scaling Laws for Neural Language
Models", 2020). Compute is 6·N·D (the same, section 2.1).

It is refused to fit too few runs, or sizes too close together, and to ask far beyond the largest
run. A gain whose interval holds 0 is told as unknown, never as a small gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from llmops.errors import RefusedError

FEWEST_SIZES = 5
"""Different sizes of what alone varies: the law has three unknowns then, and two runs more show how
far the runs lie off it."""
FEWEST_RUNS = 8
"""Runs where both vary, for five unknowns."""
FEWEST_EACH = 3
"""Different sizes of each where both vary."""
LEAST_SPAN = 4.0
"""Largest size by smallest: within less, any bend looks straight."""
FARTHEST = 4.0
"""How many times the largest run may be asked about. A choice: a power law's error grows with the
distance, and these runs are few."""


class Varied(StrEnum):
    """What differs between the runs."""

    TOKENS = "tokens"
    PARAMETERS = "parameters"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Point:
    """A finished run."""

    name: str
    parameters: int
    tokens: int
    """Learnt from in all, repetitions included."""
    loss: float
    """Of what was held out, in nats for each token; the same for every run."""


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law; a term that does not vary has the factor 0."""

    floor: float
    """E: what no more of anything gets below."""
    a: float
    alpha: float
    b: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """The loss of a run so large."""
        terms = self.a * parameters**-self.alpha, self.b * tokens**-self.beta
        return float(self.floor + sum(terms))

    def document(self) -> dict[str, float]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Step:
    """A question: the largest run, but larger."""

    what: str
    """`tokens`, `parameters` or `compute`."""
    parameters: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Bought:
    """What a step would buy."""

    step: Step
    loss: float
    """That the law expects."""
    gain: float
    """By which that is below the largest run's, as the law has both."""
    low: float
    high: float
    """Where the gain lies at the asked confidence."""

    @property
    def known(self) -> bool:
        """Whether the runs support that it is a gain at all."""
        return self.low > 0.0

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "more": self.step.what,
            "parameters": self.step.parameters,
            "tokens": self.step.tokens,
            "loss": self.loss,
            "gain": self.gain,
            "low": self.low,
            "high": self.high,
            "known": self.known,
        }


def varied(points: Sequence[Point]) -> Varied:
    """What differs between runs, enough to fit a law to.

    Raises:
        RefusedError: When there are too few runs or sizes, or they lie too close together.
    """
    sizes = {
        Varied.PARAMETERS: {point.parameters for point in points},
        Varied.TOKENS: {point.tokens for point in points},
    }
    differ = [what for what, found in sizes.items() if found and max(found) >= 1.1 * min(found)]
    if len(differ) == 2:
        return _both(points, sizes)
    what = differ[0] if differ else Varied.TOKENS
    found = sizes[what]
    if len(found) < FEWEST_SIZES:
        raise RefusedError(
            f"a law needs runs of {FEWEST_SIZES} different sizes at least, these {len(points)} runs"
            f" have {len(found)} different numbers of {what}",
            hint="train with growing data, each run with twice as much as the one before",
        )
    _spans(what, found)
    return what


def _both(points: Sequence[Point], sizes: dict[Varied, set[int]]) -> Varied:
    few = min(len(found) for found in sizes.values())
    if len(points) < FEWEST_RUNS or few < FEWEST_EACH:
        raise RefusedError(
            f"where parameters and tokens both vary, a law needs {FEWEST_RUNS} runs with"
            f" {FEWEST_EACH} sizes of each at least; these are {len(points)} runs with {few}",
            hint="keep one of the two fixed, or add runs",
        )
    for what, found in sizes.items():
        _spans(what, found)
    return Varied.BOTH


def _spans(what: Varied, found: set[int]) -> None:
    span = max(found) / min(found)
    if span < LEAST_SPAN:
        raise RefusedError(
            f"the runs' {what} differ by a factor of {span:.3g}, a law needs {LEAST_SPAN:g} at"
            " least to show its bend",
            hint="add a smaller run: it takes least time",
        )


def steps(points: Sequence[Point], what: Varied, times: float) -> tuple[Step, ...]:
    """The questions that runs can answer, about so many times the largest one.

    With the model fixed, compute grows with the tokens. Where both vary, how more compute is best
    split needs the law: see `best_split`.

    Args:
        points: The runs.
        what: What varies, from `varied`.
        times: How much more; above 1.

    Raises:
        RefusedError: When that is farther than `FARTHEST` beyond the largest run.
    """
    if times > FARTHEST:
        raise RefusedError(
            f"{times:g} times the largest run is asked about, and the runs support {FARTHEST:g}"
            " times at most",
            hint="add a larger run, then ask again",
        )
    n, d = largest(points)
    found = []
    if what in (Varied.TOKENS, Varied.BOTH):
        found.append(Step("tokens", n, d * times))
    if what in (Varied.PARAMETERS, Varied.BOTH):
        found.append(Step("parameters", n * times, d))
    return tuple(found)


def largest(points: Sequence[Point]) -> tuple[float, float]:
    """Parameters and tokens of the run that took most compute."""
    top = max(points, key=lambda point: point.parameters * point.tokens)
    return float(top.parameters), float(top.tokens)


def best_split(law: Law, parameters: float, tokens: float, times: float) -> Step:
    """Where so many times the compute is best put, by the law, into model and data.

    It is the minimum over splits with a step of a hundredth of the exponent, which is finer than
    any such law is known.
    """
    shares = [number / 100 for number in range(101)]
    share = min(shares, key=lambda s: law.loss(parameters * times**s, tokens * times ** (1.0 - s)))
    return Step("compute", parameters * times**share, tokens * times ** (1.0 - share))


__all__ = [
    "Bought", "FARTHEST", "FEWEST_RUNS", "FEWEST_SIZES", "LEAST_SPAN", "Law", "Point", "Step",
    "Varied", "best_split", "largest", "steps", "varied",
]  # fmt: skip
