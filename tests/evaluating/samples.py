"""Scores made up for tests."""

from __future__ import annotations

from collections.abc import Sequence

from llmops.evaluating import Metric, Scores, figure_of


def scores(
    metric: Metric,
    rows: Sequence[tuple[float, ...]],
    *,
    missing: tuple[str, ...] = (),
    name: str = "exam",
    digest: str = "d",
) -> Scores:
    ids = tuple(str(number) for number in range(len(rows)))
    value = figure_of(metric, rows)
    return Scores(name, digest, metric, value, ids, tuple(rows), missing)


def shares(values: Sequence[float], metric: Metric = Metric.EXACT_MATCH) -> Scores:
    return scores(metric, [(float(value), 1.0) for value in values])
