"""Published models on cloud offers and on machines of one's own: what is chosen, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.planning.fleet import (
    FleetPlan,
    Subject,
    binding,
    document,
    search,
    why_later,
)
from tests.effort import effort
from tests.planning.fleet import worlds

PLANS = sorted((worlds.CASES / "fleet" / "plans").glob("*.yaml"))
WANTED = {
    "smollm2-135m", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "qwen3-32b",
    "qwen3-235b-a22b", "mixtral-8x7b", "gemma-3-27b", "deepseek-v3", "gpt-oss-20b", "gpt-oss-120b",
    "t5-11b",
}  # fmt: skip


def _case(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_is_what_the_case_says(path: Path) -> None:
    case = _case(path)
    subject = worlds.subject(case["model"])
    plan = search(subject, worlds.needs(case.get("needs", {})), worlds.catalogue(case["where"]))
    expected = case["expect"]
    unserved = subject.unserved
    assert bool(unserved) is ("unserved" in expected), unserved
    assert expected.get("unserved", "") in unserved
    reasons = {one.offer.name: one.reason for one in plan.rejections}
    for name, words in expected.get("rejected", {}).items():
        assert words in reasons[name], f"{name}: {reasons[name]}"
    if expected.get("nothing"):
        assert plan.options == ()
        return
    words, values = _found(plan)
    for name, value in expected.items():
        if name in words:
            assert value in words[name], f"{name}: {words[name]}"
        elif name in values:
            assert values[name] == value, name


def _found(plan: FleetPlan) -> tuple[dict[str, str], dict[str, object]]:
    """What a case may say of the first option: sentences, and values."""
    first = plan.options[0]
    words = {
        "why": plan.why,
        "binding": binding(first, plan.needs),
        "notes": " / ".join(first.notes),
        "loses": why_later(plan.options[1], first) if len(plan.options) > 1 else "",
    }
    values: dict[str, object] = {
        "machine": first.offer.name,
        "layout": str(first.parallel),
        "machines": first.machines,
        "context": first.budget.context,
        "price": first.price,
    }
    return words, values


@pytest.mark.parametrize("on", ["clouds", "four-of-eight-h100"])
def test_every_model_that_users_ask_about_first_has_a_case(on: str) -> None:
    assert {case["model"] for case in map(_case, PLANS) if case["where"] == on} >= WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_plan_is_data_with_a_reason_beside_each_figure(name: str) -> None:
    subject = worlds.subject(name)
    plan = search(subject, worlds.needs({}), worlds.catalogue("catalog"))
    made = document(plan, subject, source="here", top=3)
    assert len(made["options"]) == 3
    assert made["options_found"] == len(plan.options)
    _check(made)
    memory = dict(made["memory"])
    device = memory.pop("device_bytes")["value"]
    memory.pop("per_device_bytes")
    assert sum(part["value"] for part in memory.values()) == device


def _check(document: object, place: str = "") -> None:
    """Every mapping with a value has a reason; nothing but plain data."""
    if isinstance(document, dict):
        if "value" in document:
            assert document["reason"], place
        for key, value in document.items():
            _check(value, f"{place}.{key}")
    elif isinstance(document, list):
        for number, value in enumerate(document):
            _check(value, f"{place}[{number}]")
    else:
        assert document is None or isinstance(document, (str, int, float)), place


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_such_model_fits_on_something_that_can_be_had(name: str) -> None:
    plan = search(worlds.subject(name), worlds.needs({}), worlds.catalogue("catalog"))
    first = plan.options[0]
    assert first.price is not None
    assert all(one.price is None or one.price >= first.price
               for one in plan.options if one.accelerator.vendor == "nvidia")  # fmt: skip
    assert all(one.reason for one in plan.rejections)


def test_weighing_everything_takes_less_than_a_blink() -> None:
    for name in ("llama-3.1-405b", "deepseek-v3", "qwen3-235b-a22b"):
        catalogue = worlds.catalogue("catalog")
        fresh = Subject.of(worlds.facts(worlds.config(name)))
        with effort() as spent:
            search(fresh, worlds.needs({}), catalogue)
        assert spent.seconds < 0.3, name
