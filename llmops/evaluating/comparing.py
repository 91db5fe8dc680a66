"""Two models on the same items: how much better the one is, and how sure that is.

Both models answered the same items, so the comparison is paired: an item that is hard for both says
nothing. A gain is positive where the candidate is better, whichever way the metric runs, and for a
perplexity it is the share by which the candidate's is lower.

Shares (accuracy, exact match) are counted, not resampled: when two models differ on no item, a
bootstrap would claim to know that they never do. The others are bootstrapped in `serving.evaluate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from llmops.errors import InputError
from llmops.evaluating.metric import Metric
from llmops.evaluating.scores import Scores, figure_of

MOST_ITEMS = 10_000_000
"""A needed number beyond this is told as none: no such set will be written."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A gain and where it lies at some confidence."""

    gain: float
    low: float
    high: float
    confidence: float
    """Two-sided: the chance that an interval made so holds the true gain."""
    method: str
    """How it was made, with its seed where it has one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against another model, on one set by one metric."""

    set: str
    metric: Metric
    n: int
    """Items that both were measured on."""
    candidate: float
    other: float
    interval: Interval
    p_value: float
    """Chance of a gain at least so far from 0 if the two were alike; two-sided."""
    test: str
    """Which test gave it."""

    def needed(self, margin: float) -> int | None:
        """Items that would show that the loss is below `margin`, if the gain stays as it is.

        An interval's width shrinks with the square root of the items. None when no number of items
        would do, because the gain itself is no better than -margin.
        """
        room = self.interval.gain + margin
        if room <= 0:
            return None
        reach = self.interval.gain - self.interval.low
        items = math.ceil(self.n * (reach / room) ** 2)
        return items if items <= MOST_ITEMS else None

    def document(self) -> dict[str, Any]:
        """As plain data, for `-o json`."""
        return {
            "set": self.set,
            "metric": self.metric.value,
            "items": self.n,
            "candidate": _number(self.candidate),
            "other": _number(self.other),
            "gain": _number(self.interval.gain),
            "low": _number(self.interval.low),
            "high": _number(self.interval.high),
            "confidence": self.interval.confidence,
            "interval": self.interval.method,
            "p_value": _number(self.p_value),
            "test": self.test,
        }


def _number(value: float) -> float | None:
    """What JSON has no word for is null."""
    return value if math.isfinite(value) else None


def gain(metric: Metric, candidate: float, other: float) -> float:
    """How much better `candidate` is; for a perplexity as a share of the other's."""
    if metric.lower_is_better:
        return 1.0 - candidate / other if other else math.nan
    return candidate - other


def share_interval(better: int, worse: int, n: int, confidence: float) -> Interval:
    """The gain of a share, from the items on which only one of two models was right.

    Agresti and Min, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24 (2005): Wald's interval after half an item is added to each of the
    four cells. It keeps its coverage for few items and for models that differ on none.

    Args:
        better: Items that only the candidate has right.
        worse: Items that only the other has right.
        n: All items, 1 at least.
        confidence: Of the interval, between 0 and 1.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    b, c, total = better + 0.5, worse + 0.5, n + 2.0
    middle = (b - c) / total
    reach = z * math.sqrt(b + c - (b - c) ** 2 / total) / total
    return Interval(
        gain=(better - worse) / n,
        low=max(-1.0, middle - reach),
        high=min(1.0, middle + reach),
        confidence=confidence,
        method="Agresti-Min for paired shares",
    )


def alike_interval(metric: Metric, n: int, confidence: float) -> Interval:
    """The gain where two models were alike on each of `n` items.

    Resampling would say that it is 0 for certain. What is known is that few other items can tell
    them apart: a share of 1 - t^(1/n) at most, or these would hardly all have been alike, t being
    the tail on either side (Clopper and Pearson, 1934, for none of n). At worst each of those
    loses the whole scale. A likelihood, which is alike to its last digit, is of the same model.
    """
    low, high = metric.scale
    tail = (1.0 - confidence) / 2
    reach = (high - low) * (1.0 - tail ** (1.0 / n)) if math.isfinite(high) else 0.0
    return Interval(0.0, -reach, reach, confidence, "alike on every item: Clopper-Pearson's bound")


def discordant(candidate: Scores, other: Scores) -> tuple[int, int]:
    """Items that only the candidate has right, and items that only the other has right."""
    pairs = [(a[0], b[0]) for a, b in zip(candidate.rows, other.rows, strict=True)]
    return sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)


def paired(candidate: Scores, other: Scores) -> tuple[Scores, Scores]:
    """Both with those items only that both were measured on, in one order.

    Raises:
        InputError: When they are not of one set and metric, or share no item.
    """
    for what, ours, theirs in (
        ("metric", candidate.metric, other.metric),
        ("set", candidate.digest, other.digest),
    ):
        if ours != theirs:
            raise InputError(
                f"only results of the same {what} can be compared, found {ours} and {theirs}",
                hint="evaluate both models with the same sets and metrics",
            )
    shared = set(candidate.ids) & set(other.ids)
    if not shared:
        raise InputError(f"the two results on {candidate.set} have no item in common")
    if len({len(row) for row in (*candidate.rows, *other.rows)}) != 1:
        raise InputError(f"the two results on {candidate.set} were made with different labels")
    first = _only(candidate, candidate.ids, shared)
    return first, _only(other, first.ids, shared)


def _only(scores: Scores, order: tuple[str, ...], shared: set[str]) -> Scores:
    if set(scores.ids) == shared and scores.ids == order:
        return scores
    rows = dict(zip(scores.ids, scores.rows, strict=True))
    ids = tuple(item for item in order if item in shared)
    kept = tuple(rows[item] for item in ids)
    return replace(scores, value=figure_of(scores.metric, kept), ids=ids, rows=kept)
