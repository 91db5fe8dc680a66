"""What the plan says of a number of replicas that follows the load."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import PlannedScaling, PlannedWindow, make_plan, plan_document
from llmops.releases.codec import dumps, loads
from llmops.releases.model import History
from tests.local.releases import release
from tests.planning.worlds import deployment, make_facts


def planned(**scaling: Any) -> PlannedScaling | None:
    return make_plan(deployment(scaling=scaling), make_facts()).scaling


def test_a_fixed_number_follows_nothing() -> None:
    assert planned() is None
    assert "scaling" not in plan_document(make_plan(deployment(), make_facts()))


def test_a_range_has_the_defaults_of_the_spec() -> None:
    assert planned(replicas="1..2") == PlannedScaling()


def test_times_are_seconds_and_windows_text() -> None:
    window = {"window": "Mon-Fri 08:00-18:00 Europe/Berlin", "replicas": 2}
    found = planned(
        replicas="0..2", schedule=[window], idle="2min", settle="30s", objective={"ttft": "500ms"}
    )
    assert found is not None
    assert found.schedule == (PlannedWindow("Mon-Fri 08:00-18:00 Europe/Berlin", 2, 2),)
    assert (found.idle_seconds, found.settle_seconds, found.ttft) == (120, 30, 0.5)


def test_memory_is_planned_for_the_highest_number() -> None:
    asleep = make_plan(deployment(scaling={"replicas": "0..2"}), make_facts())
    fixed = make_plan(deployment(scaling={"replicas": 2}), make_facts())
    assert asleep.memory.total == fixed.memory.total
    assert (asleep.layout.replicas_low, asleep.layout.replicas_high) == (0, 2)


@pytest.mark.parametrize(
    "scaling",
    [
        {"replicas": "0..2"},
        {"replicas": "1..2", "schedule": [{"window": "daily 22:00-06:00", "replicas": "0..1"}]},
    ],
)
def test_who_may_wait_for_a_start_is_told(scaling: dict[str, Any]) -> None:
    notes = make_plan(deployment(scaling=scaling), make_facts()).notes
    assert any("the next request waits until one has started" in note for note in notes)


def test_a_record_comes_back_as_it_was_and_an_older_one_is_read() -> None:
    window = {"window": "daily 22:00-06:00 UTC", "replicas": "1..2"}
    made = release("chat", 1, scaling={"replicas": "1..4", "schedule": [window]})
    history = History("chat", (made,))
    text = dumps(history)
    assert loads(text) == history
    older = loads(text.replace('"scaling"', '"unknown"'))
    assert older.releases[0].plan.scaling is None
