"""One model's result on one set by one metric: a figure, and the row of numbers of each item.

It travels as JSON. What it was measured on goes with it as a digest, so that results of two
different sets are never compared, and so does what could not be measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.errors import InputError
from llmops.evaluating.metric import Metric, figure


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric of one model on one set."""

    set: str
    """Name of the set: its file's name without the ending."""
    digest: str
    """sha256 of the set's items, of those that were asked."""
    metric: Metric
    value: float
    """The figure of all measured items, as the field's library gives it; NaN when there is none."""
    ids: tuple[str, ...]
    """The items that were measured, in the set's order."""
    rows: tuple[tuple[float, ...], ...]
    """Each item's numbers, as `figure` wants them; as many as there are ids, all equally long."""
    missing: tuple[str, ...] = ()
    """Items that could not be measured."""
    signature: str = ""
    """What the library says of its own settings, where it says any."""

    @property
    def n(self) -> int:
        """Items that were measured."""
        return len(self.ids)

    def document(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return self.summary() | {"ids": list(self.ids), "rows": [list(row) for row in self.rows]}

    def summary(self) -> dict[str, Any]:
        """As plain data without the items, for `-o json`."""
        return {
            "set": self.set,
            "digest": self.digest,
            "metric": self.metric.value,
            "value": None if math.isnan(self.value) else self.value,
            "items": self.n,
            "missing": list(self.missing),
            "signature": self.signature,
        }


def figure_of(metric: Metric, rows: Iterable[tuple[float, ...]]) -> float:
    """The figure of some items' rows; NaN when there are none."""
    sums = [math.fsum(column) for column in zip(*rows, strict=True)]
    return figure(metric, sums) if sums else math.nan


def read_scores(document: Mapping[str, Any], where: str) -> Scores:
    """The scores that `Scores.document` wrote.

    Args:
        document: One entry of a result's `scores`.
        where: The file it is from, for messages.

    Raises:
        InputError: When it is no such document.
    """
    try:
        scores = Scores(
            set=str(document["set"]),
            digest=str(document["digest"]),
            metric=Metric(document["metric"]),
            value=math.nan if document["value"] is None else float(document["value"]),
            ids=tuple(str(item) for item in document["ids"]),
            rows=tuple(tuple(float(x) for x in row) for row in document["rows"]),
            missing=tuple(str(item) for item in document["missing"]),
            signature=str(document["signature"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where} holds no scores of an evaluation: {error}") from error
    if len(scores.ids) != len(scores.rows) or len({len(row) for row in scores.rows}) > 1:
        raise InputError(f"{where}: the rows of {scores.metric} do not fit its items")
    found = figure_of(scores.metric, scores.rows)
    if not math.isclose(found, scores.value, rel_tol=1e-6, abs_tol=1e-9) and found == found:
        raise InputError(
            f"{where}: {scores.metric} is {scores.value:.6g} there, its items give {found:.6g}",
            hint="the file was changed by hand, or made by another version: evaluate anew",
        )
    return scores
