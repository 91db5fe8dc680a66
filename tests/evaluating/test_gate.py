"""A gate passes what was shown, refuses what was not, and says by which figures."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.errors import InputError
from llmops.evaluating import (
    Comparison,
    Gate,
    Interval,
    Metric,
    Outcome,
    judge,
    share_interval,
    verdicts_document,
)
from tests.evaluating.samples import scores, shares

EM = Metric.EXACT_MATCH


def compared(gain: float, low: float, high: float, n: int = 100) -> Comparison:
    interval = Interval(gain, low, high, 0.95, "made up")
    return Comparison("exam", EM, n, 0.5 + gain, 0.5, interval, 0.5, "none")


@pytest.mark.parametrize(("hits", "outcome"), [(50, Outcome.PASSED), (49, Outcome.REFUSED)])
def test_a_least_figure_is_held_against_the_figure(hits: int, outcome: Outcome) -> None:
    found = judge(Gate("exam", EM, min=0.5), shares([1] * hits + [0] * (100 - hits)))
    assert found.outcome is outcome
    assert f"{hits / 100:.4g}, at least 0.5 is asked" in found.reason


@pytest.mark.parametrize(("most", "outcome"), [(8.0, Outcome.PASSED), (7.0, Outcome.REFUSED)])
def test_a_perplexity_has_a_largest_figure(most: float, outcome: Outcome) -> None:
    found = judge(
        Gate("exam", Metric.PERPLEXITY, max=most), scores(Metric.PERPLEXITY, [(2.0, 1.0)] * 30)
    )
    assert found.outcome is outcome


@pytest.mark.parametrize(
    ("gain", "low", "high", "outcome", "said"),
    [
        (0.1, 0.02, 0.18, Outcome.PASSED, ""),
        (0.0, -0.019, 0.019, Outcome.PASSED, ""),
        (-0.2, -0.3, -0.1, Outcome.REFUSED, "it is worse"),
        (0.0, -0.1, 0.1, Outcome.UNKNOWN, "about 2500 would tell"),
        (-0.05, -0.1, 0.01, Outcome.UNKNOWN, "no number of items would show it"),
        (0.0, float("nan"), float("nan"), Outcome.UNKNOWN, "could not be made"),
    ],
)
def test_no_worse_must_be_shown(
    gain: float, low: float, high: float, outcome: Outcome, said: str
) -> None:
    found = judge(
        Gate("exam", EM, no_worse_than="base"), shares([1] * 100), compared(gain, low, high)
    )
    assert found.outcome is outcome
    assert found.passed is (outcome is Outcome.PASSED)
    assert said in found.reason


def test_what_cannot_be_told_is_no_pass() -> None:
    gate = Gate("exam", EM, no_worse_than="live")
    unknown = {
        "not measured": judge(gate, None),
        "no result of live": judge(gate, shares([1] * 30)),
        "19 items are too few": judge(gate, shares([1] * 19), compared(0.5, 0.4, 0.6)),
        "1 of 31 items could not": judge(
            gate, scores(EM, [(1.0, 1.0)] * 30, missing=("31",)), compared(0.5, 0.4, 0.6)
        ),
        "measured on 100 of 120": judge(gate, shares([1] * 120), compared(0.5, 0.4, 0.6)),
    }
    for said, verdict in unknown.items():
        assert verdict.outcome is Outcome.UNKNOWN, said
        assert said in verdict.reason


def test_the_worst_condition_decides_and_all_are_told() -> None:
    gate = Gate("exam", EM, min=0.9, no_worse_than="base")
    found = judge(gate, shares([1] * 80 + [0] * 20), compared(0.0, -0.1, 0.1))
    assert found.outcome is Outcome.REFUSED
    assert "at least 0.9" in found.reason
    assert "cannot tell" in found.reason


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max": 0.5},
        {"min": 1.5},
        {"min": 0.5, "confidence": 1.0},
        {"no_worse_than": "base", "margin": -0.1},
        {"metric": Metric.PERPLEXITY, "min": 3.0},
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Gate(**({"set": "exam", "metric": EM} | fields))


def test_a_gate_judges_its_own_set_and_metric_only() -> None:
    with pytest.raises(InputError):
        judge(Gate("other", EM, min=0.5), shares([1] * 30))


def test_verdicts_as_data() -> None:
    good = judge(Gate("exam", EM, min=0.5), shares([1] * 30))
    bad = judge(Gate("exam", EM, no_worse_than="live"), None)
    document = verdicts_document([good, bad])
    assert document["passed"] is False
    assert [entry["outcome"] for entry in document["verdicts"]] == ["passed", "unknown"]
    assert document["verdicts"][1]["value"] is None
    assert document["verdicts"][1]["margin"] == 0.02


def test_two_models_that_differ_on_no_item_are_not_known_to_be_equal() -> None:
    few, many = (share_interval(0, 0, n, 0.95) for n in (30, 1000))
    assert few.low < -0.05
    assert few.high > 0.05
    assert -0.003 < many.low < 0 < many.high < 0.003
