"""Policies in the flow: what a target keeps is asked about every plan, before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from llmops import workflow
from llmops.errors import LlmopsError
from llmops.events import Event, Planned, Reviewed
from llmops.policies import PolicyError
from tests.releases.plans import make_deployment, plan_of
from tests.releases.simulated import SimulatedTarget, run

SOURCES = "security: {sources: ['hf://tests/good*']}\n"


@pytest.fixture
def world() -> SimulatedTarget:
    return SimulatedTarget()


def apply(world: SimulatedTarget, text: str, name: str = "acme") -> None:
    shelf, version = world.policies.read()
    written = f"kind: Policy\nname: {name}\n{text}"
    world.policies.write(shelf.applied(name, written, 0.0, "ann@desk"), version)


def deploy(world: SimulatedTarget, source: str, **more: Any) -> Any:
    return workflow.deploy(
        world, make_deployment(source), planner=plan_of, clock=lambda: world.now, **more
    )


def plan(world: SimulatedTarget, source: str) -> Any:
    return workflow.plan(world, make_deployment(source), planner=plan_of, clock=lambda: world.now)


def reviewed(events: list[Event]) -> Reviewed:
    [found] = [event for event in events if isinstance(event, Reviewed)]
    return found


def test_without_a_policy_a_plan_is_reviewed_and_nothing_is_found(world: SimulatedTarget) -> None:
    events, _ = run(plan(world, "a"))
    assert reviewed(events) == Reviewed((), ())


def test_what_a_policy_refuses_changes_nothing_and_asks_nobody(world: SimulatedTarget) -> None:
    apply(world, SOURCES)

    def confirm(_: Planned) -> bool:
        pytest.fail("nobody is asked for what is refused")

    for flow in (deploy(world, "a", confirm=confirm), plan(world, "a")):
        with pytest.raises(PolicyError, match=r"security\.sources") as refused:
            run(flow)
        assert refused.value.exit_code == 3
        assert refused.value.path == "model.source"
    assert (world.changes, world.store.writes) == (0, 0)


def test_what_serves_is_refused_too_once_a_policy_says_so_and_serves_on(
    world: SimulatedTarget,
) -> None:
    run(deploy(world, "a"))
    apply(world, SOURCES)
    before = world.changes
    with pytest.raises(PolicyError):
        run(deploy(world, "a"))
    assert world.changes == before
    assert world.shares == {1: 100}


def test_what_a_policy_only_tells_goes_on(world: SimulatedTarget) -> None:
    rule = "{id: named-x, that: 'deployment.name == \"x\"', message: not x, severity: warn}"
    apply(world, f"rules: [{rule}]\n")
    events, _ = run(deploy(world, "a"))
    assert [finding.id for finding in reviewed(events).findings] == ["rules.named-x"]


def test_what_a_policy_sets_is_planned_with_and_told(world: SimulatedTarget) -> None:
    apply(world, "security: {limits: {max_tokens: 7}}\n")
    seen = []

    def planner(deployment: Any, facts: Any) -> Any:
        seen.append(deployment.security.max_tokens)
        return plan_of(deployment, facts)

    events, _ = run(
        workflow.deploy(world, make_deployment("a"), planner=planner, clock=lambda: world.now)
    )
    [setting] = reviewed(events).settings
    assert (setting.path, setting.value, setting.policies) == ("security.max_tokens", 7, ("acme",))
    assert set(seen) == {7}


def test_a_closed_window_is_told_by_a_plan_and_refuses_it_not(world: SimulatedTarget) -> None:
    freeze = "{first: '1970-01-01', last: '2100-01-01', reason: counting}"
    apply(world, f"maintenance: {{freezes: [{freeze}]}}\n")
    events, _ = run(plan(world, "a"))
    assert [finding.id for finding in reviewed(events).findings] == ["maintenance.freeze"]


def test_a_policy_that_cannot_be_read_is_not_passed_over(world: SimulatedTarget) -> None:
    apply(world, "security: {of-a-later-version: true}\n")
    with pytest.raises(LlmopsError, match="cannot be read by this version"):
        run(deploy(world, "a"))
    assert world.changes == 0
