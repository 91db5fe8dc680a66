"""Limits of a day and a month that do not bite, or do not count: found without spending them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serving.auditing import Report, audit
from serving.auditing.outside import spending
from serving.auditing.subject import Counted
from serving.gateway import PICO, Tokens
from tests.auditing.conftest import MakesStage
from tests.auditing.stage import LIMITS, GateKeys, Stage, ids, local, one, ran, served
from tests.gateway.fakes import FakeUpstream, Gate

DAILY: dict[str, Any] = {"tokens_per_day": 1000}
MONTHLY: dict[str, Any] = {"usd_per_month": 0.01, "input_usd": 1.0, "output_usd": 4.0}
CHECKS = ("limits.day", "limits.month")


def counts_of(gate: Gate) -> Callable[[str], Counted | None]:
    """What the gate's own book has, as a file of it would tell."""

    def counts(key: str) -> Counted | None:
        found = gate.book.dump(gate.clock()).get(f"tiny/{key}")
        return Counted(int(found["day"][1]), found["month"][1] / PICO) if found else None

    return counts


def looked(stage: Stage, promised: dict[str, Any], *, counts: Any = ...) -> Report:
    """Audit these limits of a gateway that was promised to have some."""
    promises = replace(stage.promises, limits=replace(LIMITS, **promised))
    known = counts_of(stage.gate) if counts is ... else counts
    with served(stage.gate.app) as port:
        return ran(
            audit(GateKeys(stage.gate), local(port), promises, (), only=CHECKS, counts=known)
        )


@pytest.mark.parametrize("limits", [DAILY, MONTHLY, DAILY | MONTHLY])
def test_limits_that_bite_and_count_are_clean_and_nothing_is_generated_to_see_it(
    make_stage: MakesStage, limits: dict[str, Any]
) -> None:
    upstream = FakeUpstream()
    report = looked(make_stage(upstream=upstream, **limits), limits)
    unsure = [f.message for f in report.unchecked]
    first = "not checked: whether usd_per_month is refused"  # the day's limit is the lower one
    assert unsure == ([first] if limits == DAILY | MONTHLY else [])
    assert report.found == ()
    assert len(upstream.requests) == len([n for n in limits if n.endswith(("_day", "_month"))])


@pytest.mark.parametrize(
    ("limits", "identifier"), [(DAILY, "audit.limits.day"), (MONTHLY, "audit.limits.month")]
)
def test_a_limit_that_does_not_bite_is_found_with_the_request_and_its_answer(
    make_stage: MakesStage, limits: dict[str, Any], identifier: str
) -> None:
    prices = {name: value for name, value in limits.items() if name.endswith("_usd")}
    report = looked(make_stage(**prices), limits)
    found = one(report, identifier)
    assert found.blocks
    assert "reached the engine" in found.message
    assert "POST /v1/completions" in found.proof
    assert "-> 200" in found.proof
    assert ids(report) == {identifier}


@pytest.mark.parametrize(
    ("limits", "identifier"), [(DAILY, "audit.limits.day"), (MONTHLY, "audit.limits.month")]
)
def test_a_gateway_that_does_not_count_is_found_with_what_it_has_counted(
    make_stage: MakesStage,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, Any],
    identifier: str,
) -> None:
    monkeypatch.setattr(spending, "COUNTED_WITHIN", 0.3)
    stage = make_stage(**limits)
    settle = stage.gate.book.settle
    monkeypatch.setattr(
        stage.gate.book, "settle", lambda ask, used, now: settle(ask, Tokens(), now)
    )
    found = one(looked(stage, limits), identifier)
    assert "is not counted" in found.message
    assert "its record has 0 of" in found.proof


def test_where_there_is_no_record_the_count_is_told_as_not_checked(make_stage: MakesStage) -> None:
    report = looked(make_stage(**DAILY), DAILY, counts=None)
    assert report.found == ()
    assert [f.message for f in report.unchecked] == [
        "not checked: whether tokens_per_day counts what is used"
    ]


def test_a_limit_that_no_request_reaches_is_told_as_not_tried(make_stage: MakesStage) -> None:
    high = {"tokens_per_day": 10**9}
    report = looked(make_stage(**high), high)
    assert report.found == ()
    [told] = report.unchecked
    assert told.message == "not checked: whether tokens_per_day 1,000,000,000 is refused"
    assert "it takes more than one request" in told.proof


def test_a_limit_behind_another_one_is_told_as_not_tried(make_stage: MakesStage) -> None:
    both = DAILY | {"tokens_per_minute": 500}
    report = looked(make_stage(**both), both)
    assert report.found == ()
    [told] = report.unchecked
    assert told.proof.startswith("tokens_per_minute comes first: POST /v1/completions")


def test_without_such_limits_nothing_is_asked(make_stage: MakesStage) -> None:
    upstream = FakeUpstream()
    assert looked(make_stage(upstream=upstream), {}).findings == ()
    assert upstream.requests == []
