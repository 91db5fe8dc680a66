"""Rollbacks and restores under policies: what was allowed once may be forbidden by now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops import restoring, workflow
from llmops.errors import RefusedError, TargetError
from llmops.events import Event, Reviewed
from llmops.opening import Gate
from llmops.planning import Facts, Plan
from llmops.policies import PolicyError
from llmops.releases import Emergency, History, State
from llmops.saved import Saved, SavedService
from llmops.spec import Deployment
from tests.releases.plans import SERVICE, make_deployment, make_plan, plan_of, release
from tests.releases.simulated import Fate, SimulatedTarget, run, survive

HUB = "hf://tests/good-model"
PINNED = "security: {pinned: true}\n"
RULE = "rules: [{id: hub, that: '!deployment.model.source.startsWith(\"hf:\")', message: ask}]\n"
URGENT = Gate(emergency=Emergency("it leaks", "ann@desk"))


def asking(deployment: Deployment, facts: Facts) -> Plan:
    """A plan that records what was asked for, as the real planner's does."""
    asked = deployment.model_dump(mode="json", exclude_defaults=True)
    return replace(plan_of(deployment, facts), asked=asked)


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 is of a model of the hub that nobody pinned; release 2 serves."""
    made = SimulatedTarget()
    run(deploy(made, HUB))
    run(deploy(made, "b"))
    return made


def deploy(world: SimulatedTarget, source: str) -> Any:
    return workflow.deploy(world, make_deployment(source), planner=asking, clock=lambda: world.now)


def rollback(world: SimulatedTarget, number: int | None = None, **more: Any) -> Any:
    return workflow.rollback(world, SERVICE, number, clock=lambda: world.now, **more)


def apply(world: SimulatedTarget, text: str) -> None:
    shelf, version = world.policies.read()
    written = f"kind: Policy\nname: acme\n{text}"
    world.policies.write(shelf.applied("acme", written, 0.0, "ann@desk"), version)


def reviewed(events: list[Event]) -> list[str]:
    return [f.id for event in events if isinstance(event, Reviewed) for f in event.findings]


def found(flow: Any) -> tuple[list[Event], RefusedError]:
    """The events of a flow that is refused, and why."""
    events: list[Event] = []

    def follow() -> None:
        events.extend(flow)

    with pytest.raises(RefusedError) as caught:
        follow()
    return events, caught.value


@pytest.mark.parametrize(
    ("policy", "identifier"),
    [
        (PINNED, "security.pinned"),
        ("security: {sources: ['s3://*']}\n", "security.sources"),
        ("security: {known_holes: refuse}\n", "security.known_holes"),
        ("security: {limits: {requests_per_minute: 5}}\n",
         "security.limits.requests_per_minute"),
        (RULE, "rules.hub"),
    ],
)  # fmt: skip
def test_a_rollback_to_what_a_policy_forbids_by_now_changes_nothing_and_says_which(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch, policy: str, identifier: str
) -> None:
    monkeypatch.setattr(world, "versions", lambda: {"ray": "2.40.0"})
    apply(world, policy)
    before = world.changes, world.store.writes
    events, error = found(rollback(world))
    assert isinstance(error, PolicyError)
    assert error.exit_code == 3
    assert identifier in [finding.id for finding in error.findings if finding.blocks]
    assert error.hint.endswith("or --emergency REASON does it all the same, and records why")
    assert identifier in reviewed(events), "the findings are told, and not the first alone"
    assert (world.changes, world.store.writes) == before
    assert world.shares == {2: 100}


def test_waiting_is_no_help_against_a_policy(world: SimulatedTarget) -> None:
    apply(world, PINNED)
    with pytest.raises(PolicyError):
        run(rollback(world, gate=Gate(wait=True)))


def test_an_emergency_rolls_back_all_the_same_and_is_recorded(world: SimulatedTarget) -> None:
    apply(world, PINNED)
    events, finished = run(rollback(world, gate=URGENT))
    assert reviewed(events) == ["security.pinned"]
    assert (finished.release.number, finished.release.rollback_of) == (3, 1)
    assert (finished.release.emergency, finished.release.emergency_by) == ("it leaks", "ann@desk")


def test_an_emergency_that_was_none_is_not_recorded(world: SimulatedTarget) -> None:
    _, finished = run(rollback(world, gate=URGENT))
    assert finished.release.emergency == ""


def test_what_is_waived_or_only_told_goes_back(world: SimulatedTarget) -> None:
    waiver = (
        "{rule: security.pinned, services: [chat], reason: soon, owner: ann, expires: '2090-01-01'}"
    )
    apply(world, f"{PINNED}waivers: [{waiver}]\n")
    events, finished = run(rollback(world))
    assert finished.changed
    assert reviewed(events) == ["security.pinned"]


def test_what_serves_already_is_not_asked_about(world: SimulatedTarget) -> None:
    apply(world, "security: {sources: ['s3://*']}\n")
    _, finished = run(rollback(world, 2))
    assert not finished.changed


@pytest.mark.parametrize("instant", range(1, 6))
def test_an_emergency_that_was_cut_off_is_finished_without_saying_it_again(
    world: SimulatedTarget, instant: int
) -> None:
    apply(world, PINNED)
    world.fates = {world.instants + instant: Fate.KILL}
    survive(rollback(world, gate=URGENT))
    world.fates.clear()
    begun = world.store.history.staging or world.store.history.live
    assert begun is not None
    if begun.number == 3:
        _, finished = run(rollback(world))
        assert finished.release.number == 3
        assert finished.release.emergency == "it leaks"


def test_a_record_that_does_not_say_what_was_asked_is_not_taken_for_allowed() -> None:
    world = SimulatedTarget()
    for source in ("a", "b"):
        flow = workflow.deploy(
            world, make_deployment(source), planner=plan_of, clock=lambda: world.now
        )
        run(flow)
    apply(world, PINNED)
    events, _ = found(rollback(world))
    assert reviewed(events) == ["records.asked"]


def test_a_policy_of_windows_alone_asks_no_record_for_more(world: SimulatedTarget) -> None:
    apply(world, "maintenance: {windows: [daily 00:00-24:00 UTC]}\n")
    assert run(rollback(world))[1].changed


def test_a_failed_deploy_goes_back_to_what_served_whatever_policies_say(
    world: SimulatedTarget,
) -> None:
    """The last good release is forbidden by now. It serves on: to refuse that would leave nothing,
    or what has just failed."""
    run(rollback(world))
    apply(world, "security: {sources: [bad-*]}\n")
    assert world.shares == {3: 100}
    with pytest.raises(TargetError, match="release 3 still serves"):
        run(deploy(world, "bad-start"))
    assert world.shares == {3: 100}
    assert world.store.history.live is not None
    assert world.store.history.live.number == 3


def saved(policy: str = "") -> Saved:
    """A backup whose last good release is of a model that nobody pinned."""
    asked = {"name": SERVICE, "model": {"source": HUB}}
    plan = replace(make_plan("p1"), asked=asked)
    history = History(SERVICE, (release(1, State.LIVE, plan=plan, verified_at=1.0),))
    made = Saved(1.0, "0.1.0", "local", services=(SavedService(history),))
    if policy:
        written = f"kind: Policy\nname: house\n{policy}"
        made = replace(made, policies=made.policies.applied("house", written, 0.0, "ada"))
    return made


def restore(world: SimulatedTarget, state: Saved, **how: Any) -> Any:
    return restoring.restore(world, state, clock=lambda: world.now, **how)


@pytest.mark.parametrize("where", ["here", "in the backup"])
def test_a_restore_of_what_a_policy_forbids_puts_nothing_back(where: str) -> None:
    world = SimulatedTarget()
    if where == "here":
        apply(world, PINNED)
    state = saved(PINNED if where == "in the backup" else "")
    before = world.store.writes, world.policies.read()[0]
    events, error = found(restore(world, state))
    assert isinstance(error, PolicyError)
    assert reviewed(events) == ["security.pinned"]
    assert (world.store.writes, world.policies.read()[0]) == before
    assert world.vault.held == {}


def test_an_emergency_restores_it_and_is_recorded() -> None:
    world = SimulatedTarget()
    _, [done] = run(restore(world, saved(PINNED), emergency=URGENT.emergency))
    assert done.release is not None
    assert done.release.emergency == "it leaks"
    assert world.shares == {2: 100}


def test_records_alone_are_put_back_whatever_policies_say() -> None:
    world = SimulatedTarget()
    _, [done] = run(restore(world, saved(PINNED), deploy=False))
    assert done.release is None
    assert len(world.store.history.releases) == 1


def test_what_serves_is_not_asked_about_by_a_restore() -> None:
    world = SimulatedTarget()
    run(restore(world, saved()))
    apply(world, PINNED)
    _, [done] = run(restore(world, saved()))
    assert done.release is not None
    assert world.shares == {2: 100}
