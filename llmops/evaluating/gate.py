"""The gate: whether a model may be served, judged by figures alone. Pure.

Whatever cannot be told is a refusal, and says so: too few items, items without an answer, an
interval too wide. A model that was not shown to be no worse does not pass for lack of evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from llmops.errors import InputError
from llmops.evaluating.comparing import Comparison
from llmops.evaluating.metric import Metric
from llmops.evaluating.scores import Scores

FEWEST_ITEMS = 20
"""Below this no figure is believed: at 20 items a share of one half is known to within 0.22, and
intervals of resampled means lose their coverage (Efron and Tibshirani, 1993, chapter 13)."""

Rival = Literal["base", "live", "other"]
"""Whom a candidate is held against: what it was trained from, what a service answers with now, or
another evaluation that was named."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition on one set.

    Raises:
        InputError: When it asks for nothing, or for what its metric does not have.
    """

    set: str
    """Name of the set: its file's name without the ending."""
    metric: Metric
    min: float | None = None
    """Least figure that passes."""
    max: float | None = None
    """Largest figure that passes; for a perplexity, in place of `min`."""
    no_worse_than: Rival | None = None
    """The model that it must not lose against: the one it was trained from, or the one served."""
    margin: float | None = None
    """Loss that is forgiven, on the metric's scale (a perplexity: as a share); None: 2 % of it."""
    confidence: float = 0.95
    """Of the comparison's interval, two-sided."""

    def __post_init__(self) -> None:
        where = f"the gate on {self.set} by {self.metric}"
        if self.min is None and self.max is None and self.no_worse_than is None:
            raise InputError(f"{where} asks for nothing: give min, max or no_worse_than")
        wrong = "min" if self.metric.lower_is_better else "max"
        if getattr(self, wrong) is not None:
            better = "lower" if self.metric.lower_is_better else "higher"
            raise InputError(f"{where} cannot have '{wrong}': {better} is better")
        low, high = self.metric.scale
        for name in ("min", "max"):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{where}: '{name}' must be from {low:g} to {high:g}, not {value}")
        if not 0.5 <= self.confidence <= 0.999:
            raise InputError(f"{where}: confidence must be 0.5 to 0.999, not {self.confidence}")
        if self.margin is not None and not 0 <= self.margin < high:
            raise InputError(f"{where}: margin must be 0 or more, not {self.margin}")

    @property
    def forgiven(self) -> float:
        """The margin that holds."""
        return self.metric.margin if self.margin is None else self.margin


class Outcome(StrEnum):
    """What became of a gate."""

    PASSED = "passed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It could not be told; treated as a refusal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate and its outcome."""

    gate: Gate
    outcome: Outcome
    reason: str
    """The figures that decided, in words."""
    value: float
    """The candidate's figure; NaN when there is none."""
    comparison: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Whether the model may be served, as far as this gate goes."""
        return self.outcome is Outcome.PASSED

    def __str__(self) -> str:
        return f"{self.gate.set} {self.gate.metric}: {self.outcome}: {self.reason}"


def judge(gate: Gate, scores: Scores | None, comparison: Comparison | None = None) -> Verdict:
    """Whether a candidate with `scores` passes.

    Args:
        gate: The condition.
        scores: The candidate's, of the gate's set and metric; None when it was not measured.
        comparison: Against the gate's rival; None when there is none to compare with.
    """
    value = math.nan if scores is None else scores.value
    outcome, reason = _known(gate, scores)
    if scores is not None and outcome is Outcome.PASSED:
        steps = [_bound(gate, value)]
        if gate.no_worse_than is not None:
            steps.append(_rival(gate, scores.n, comparison))
        # The worst outcome decides; all the reasons are told.
        order = (Outcome.REFUSED, Outcome.UNKNOWN, Outcome.PASSED)
        outcome = min((step[0] for step in steps), key=order.index)
        reason = "; ".join(text for _, text in steps if text)
    return Verdict(gate, outcome, reason, value, comparison)


def _known(gate: Gate, scores: Scores | None) -> tuple[Outcome, str]:
    """Whether there is enough to judge by."""
    if scores is None:
        return Outcome.UNKNOWN, "it was not measured"
    if (gate.metric, gate.set) != (scores.metric, scores.set):
        raise InputError(
            f"a gate on {gate.set} by {gate.metric} cannot judge {scores.set} by {scores.metric}"
        )
    if scores.missing:
        lost, total = len(scores.missing), scores.n + len(scores.missing)
        return Outcome.UNKNOWN, f"{lost} of {total} items could not be measured"
    if scores.n < FEWEST_ITEMS:
        return Outcome.UNKNOWN, (
            f"{scores.n} items are too few to judge by: {FEWEST_ITEMS} are needed at least"
        )
    if math.isnan(scores.value):
        return Outcome.UNKNOWN, "there is no figure: the set holds nothing that it measures"
    return Outcome.PASSED, ""


def _bound(gate: Gate, value: float) -> tuple[Outcome, str]:
    if gate.min is not None:
        ok, sign, bound = value >= gate.min, "at least", gate.min
    elif gate.max is not None:
        ok, sign, bound = value <= gate.max, "at most", gate.max
    else:
        return Outcome.PASSED, ""
    text = f"{value:.4g}, {sign} {bound:g} is asked"
    return (Outcome.PASSED if ok else Outcome.REFUSED), text


def _rival(gate: Gate, n: int, comparison: Comparison | None) -> tuple[Outcome, str]:
    rival = gate.no_worse_than
    if comparison is None:
        return Outcome.UNKNOWN, f"there is no result of {rival} to compare with"
    if comparison.n < n:
        return Outcome.UNKNOWN, f"{rival} was measured on {comparison.n} of {n} items only"
    found, margin = comparison.interval, gate.forgiven
    text = (
        f"gain over {rival} {found.gain:+.4g}"
        f" ({found.low:+.4g} to {found.high:+.4g} at {found.confidence:g},"
        f" a loss of {margin:g} is forgiven)"
    )
    if math.isnan(found.low) or math.isnan(found.high):
        return Outcome.UNKNOWN, f"{text}: the interval could not be made"
    if found.low >= -margin:
        return Outcome.PASSED, text
    if found.high < -margin:
        return Outcome.REFUSED, f"{text}: it is worse"
    needed = comparison.needed(margin)
    more = "no number of items would show it" if needed is None else f"about {needed} would tell"
    return Outcome.UNKNOWN, f"{text}: {comparison.n} items cannot tell, {more}"


def gates_for(
    scores: Iterable[Scores],
    *,
    least: Mapping[Metric, float],
    most: Mapping[Metric, float],
    rival: Rival | None = None,
    margin: float | None = None,
    confidence: float = 0.95,
) -> tuple[Gate, ...]:
    """The same conditions on each of some scores, for what is asked by metric alone.

    Raises:
        InputError: When a bound is of a metric that was not measured.
    """
    listed = list(scores)
    if unknown := sorted({*least, *most} - {entry.metric for entry in listed}):
        raise InputError(f"there is a bound for {unknown[0]}, which is not measured")
    return tuple(
        Gate(
            entry.set, entry.metric, least.get(entry.metric), most.get(entry.metric), rival,
            margin, confidence,
        )
        for entry in listed
        if rival or entry.metric in least or entry.metric in most
    )  # fmt: skip


def verdicts_document(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Verdicts as plain data, for a file or `-o json`: what was not measured is null."""
    listed = list(verdicts)
    return {
        "passed": all(verdict.passed for verdict in listed),
        "verdicts": [
            {
                "set": verdict.gate.set,
                "metric": verdict.gate.metric.value,
                "outcome": verdict.outcome.value,
                "reason": verdict.reason,
                "value": None if math.isnan(verdict.value) else verdict.value,
                "min": verdict.gate.min,
                "max": verdict.gate.max,
                "no_worse_than": verdict.gate.no_worse_than,
                "margin": verdict.gate.forgiven if verdict.gate.no_worse_than else None,
                "comparison": None if verdict.comparison is None else verdict.comparison.document(),
            }
            for verdict in listed
        ],
    }
