"""Changes and maintenance windows: refused, waited for, or made in an emergency."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from llmops import workflow
from llmops.errors import BusyError, RefusedError
from llmops.events import Event, Planned, Progress
from llmops.opening import Gate
from llmops.releases import Emergency
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import Fate, Killed, SimulatedTarget, run

WINDOW = "Sun 02:00-04:00 Europe/Berlin"
SATURDAY = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
OPENS = datetime(2026, 11, 29, 1, tzinfo=UTC).timestamp()
SUNDAY = OPENS + 60
WAIT = Gate(wait=True)
NOW = Gate(emergency=Emergency("it leaks", "ann@desk"))

POLICY = f"""\
kind: Policy
name: acme
applies_to: {{services: [chat]}}
maintenance:
  windows: ["{WINDOW}"]
"""


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 serves; it is Saturday."""
    made = SimulatedTarget(now=SUNDAY)
    run(deploy(made, "a"))
    made.now = SATURDAY
    return made


def deploy(world: SimulatedTarget, source: str, window: str | None = WINDOW, **more: Any) -> Any:
    return workflow.deploy(
        world,
        make_deployment(source, window=window),
        planner=plan_of,
        clock=lambda: world.now,
        sleep=partial(sleep, world),
        **more,
    )


def sleep(world: SimulatedTarget, seconds: float) -> None:
    assert 0 < seconds <= 1, "a countdown must be seen to run"
    assert not world.held, "a lock is held while it waits"
    world.now += max(seconds, 600)


def rollback(world: SimulatedTarget, **more: Any) -> Any:
    return workflow.rollback(
        world, SERVICE, clock=lambda: world.now, sleep=partial(sleep, world), **more
    )


def destroy(world: SimulatedTarget, **more: Any) -> Any:
    world.gap_allowed = True
    return workflow.destroy(
        world, SERVICE, clock=lambda: world.now, sleep=partial(sleep, world), **more
    )


def states(world: SimulatedTarget) -> list[str]:
    return [release.state.value for release in world.store.history.releases]


def windows(events: list[Event]) -> list[Progress]:
    return [e for e in events if isinstance(e, Progress) and e.phase == "window"]


def test_a_change_outside_of_the_window_is_refused_with_the_next_one(
    world: SimulatedTarget,
) -> None:
    before = world.changes, world.store.writes

    def confirm(_: Planned) -> bool:
        pytest.fail("nobody is asked for what is refused")

    with pytest.raises(RefusedError, match="outside the maintenance windows of the serv") as caught:
        run(deploy(world, "b", confirm=confirm))
    assert caught.value.exit_code == 3
    assert caught.value.path == "maintenance.window"
    assert caught.value.hint == (
        "opens Sun 2026-11-29 02:00 Europe/Berlin; --wait waits for it; --emergency REASON does it"
        " now, and records why"
    )
    assert (world.changes, world.store.writes) == before


def test_a_policys_window_binds_as_well(world: SimulatedTarget) -> None:
    shelf, version = world.policies.read()
    world.policies.write(shelf.applied("acme", POLICY, 0.0, "ann@desk"), version)
    with pytest.raises(RefusedError, match="of policy acme"):
        run(deploy(world, "b", window=None))
    with pytest.raises(RefusedError, match="of policy acme"):
        run(destroy(world))


def test_the_first_deploy_is_a_change(world: SimulatedTarget) -> None:
    empty = SimulatedTarget(now=SATURDAY)
    with pytest.raises(RefusedError):
        run(deploy(empty, "a"))
    assert empty.store.history.releases == ()


def test_an_unchanged_deploy_is_always_allowed(world: SimulatedTarget) -> None:
    world.reboot()
    _, finished = run(deploy(world, "a"))
    assert not finished.changed
    assert world.shares == {1: 100}, "what was lost is brought back"


def test_a_window_alone_makes_no_release_and_holds_from_then_on(world: SimulatedTarget) -> None:
    _, finished = run(deploy(world, "a", window="daily 00:00-24:00 UTC"))
    assert not finished.changed
    live = world.store.history.live
    assert live is not None
    assert live.plan.upkeep.window == "daily 00:00-24:00 UTC"
    run(destroy(world))


def test_a_wait_counts_down_and_then_deploys(world: SimulatedTarget) -> None:
    events, finished = run(deploy(world, "b", gate=WAIT))
    assert finished.changed
    assert states(world) == ["retired", "live"]
    waits = windows(events)
    assert waits[0].reason.endswith("opens Sun 2026-11-29 02:00 Europe/Berlin")
    assert waits[0].elapsed == pytest.approx(0, abs=5)
    assert waits[0].deadline == pytest.approx(OPENS - SATURDAY, abs=5)
    assert [w.elapsed for w in waits] == sorted(w.elapsed for w in waits)
    created = world.store.history.releases[-1].created_at
    assert OPENS <= created < OPENS + 700
    assert world.store.history.releases[-1].emergency == ""


def test_after_a_wait_it_is_planned_anew_and_asked_no_second_time(world: SimulatedTarget) -> None:
    asked: list[Planned] = []

    def confirm(planned: Planned) -> bool:
        asked.append(planned)
        return True

    events, _ = run(deploy(world, "b", gate=WAIT, confirm=confirm))
    assert len(asked) == 1
    assert len([e for e in events if isinstance(e, Planned)]) == 2


def test_after_a_wait_another_plan_than_was_agreed_to_is_refused(world: SimulatedTarget) -> None:
    world.digests = iter(["one", "one", *["two"] * 9])
    with pytest.raises(RefusedError, match="has changed since it was shown"):
        run(deploy(world, "b", gate=WAIT))
    assert states(world) == ["live"]


def test_an_unattended_deploy_takes_the_plan_that_is_true_after_the_wait(
    world: SimulatedTarget,
) -> None:
    world.digests = iter(["one", "one", *["two"] * 9])
    run(deploy(world, "b", gate=WAIT, unattended=True))
    assert states(world) == ["retired", "live"]


def test_while_one_waits_another_may_work(world: SimulatedTarget) -> None:
    flow = deploy(world, "b", gate=WAIT)
    next(e for e in flow if isinstance(e, Progress) and e.phase == "window")
    run(deploy(world, "a"))  # unchanged: allowed, and not held up
    with world.lock(SERVICE, "moved"), pytest.raises(BusyError):
        run(deploy(world, "a"))


def test_a_wait_is_ended_by_an_interrupt_and_changes_nothing(world: SimulatedTarget) -> None:
    before = world.changes, world.store.writes
    flow = deploy(world, "b", gate=WAIT)
    next(e for e in flow if isinstance(e, Progress) and e.phase == "window")
    flow.close()
    assert (world.changes, world.store.writes) == before
    assert not world.held


def test_what_does_not_open_is_not_waited_for(world: SimulatedTarget) -> None:
    shelf, version = world.policies.read()
    never = POLICY.replace(WINDOW, "Mon 10:00-11:00 UTC")
    world.policies.write(shelf.applied("acme", never, 0.0, "ann@desk"), version)
    with pytest.raises(RefusedError) as caught:
        run(deploy(world, "b", gate=WAIT))
    assert caught.value.hint.startswith("it does not open")


def test_an_emergency_is_done_at_once_and_recorded(world: SimulatedTarget) -> None:
    events, _ = run(deploy(world, "b", gate=NOW))
    assert windows(events) == []
    made = world.store.history.releases[-1]
    assert (made.emergency, made.emergency_by) == ("it leaks", "ann@desk")


def test_where_the_window_is_open_nothing_is_an_emergency(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    run(deploy(world, "b", gate=NOW))
    assert world.store.history.releases[-1].emergency == ""


def test_what_had_begun_in_the_window_may_be_finished_after_it(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    world.fates = {world.instants + 2: Fate.KILL}
    with pytest.raises(Killed):
        run(deploy(world, "b"))
    assert states(world) == ["live", "staging"]
    world.now = SUNDAY + 86_400
    run(deploy(world, "b"))
    assert states(world) == ["retired", "live"]


def test_what_had_begun_in_an_emergency_may_be_finished(world: SimulatedTarget) -> None:
    world.fates = {world.instants + 2: Fate.KILL}
    with pytest.raises(Killed):
        run(deploy(world, "b", gate=NOW))
    run(deploy(world, "b"))
    assert states(world) == ["retired", "live"]


def test_what_another_run_had_begun_opens_nothing_for_a_third(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    world.fates = {world.instants + 2: Fate.KILL}
    with pytest.raises(Killed):
        run(deploy(world, "b"))
    world.now = SUNDAY + 86_400
    with pytest.raises(RefusedError):
        run(deploy(world, "c"))


def test_a_rollback_is_bound_waits_and_has_emergencies(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    run(deploy(world, "b"))
    world.now = SUNDAY + 86_400
    with pytest.raises(RefusedError, match="outside the maintenance windows"):
        run(rollback(world))
    assert states(world) == ["retired", "live"]
    run(rollback(world, gate=NOW))
    assert world.store.history.releases[-1].emergency == "it leaks"
    events, _ = run(rollback(world, gate=WAIT))
    assert windows(events)
    assert states(world) == ["retired", "retired", "retired", "live"]


def test_a_rollback_keeps_the_newest_window(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    run(deploy(world, "b", window="daily 00:00-24:00 UTC"))
    world.now = SATURDAY
    run(rollback(world))
    live = world.store.history.live
    assert live is not None
    assert live.plan.upkeep.window == "daily 00:00-24:00 UTC"


def test_a_service_is_not_destroyed_outside_of_its_window(world: SimulatedTarget) -> None:
    with pytest.raises(RefusedError, match="outside the maintenance windows"):
        run(destroy(world))
    assert states(world) == ["live"]
    run(destroy(world, gate=NOW))
    ended = world.store.history.releases[-1]
    assert (ended.state.value, ended.emergency) == ("retired", "it leaks")
    run(destroy(world))  # what is over already may be said again


def test_a_destroy_that_was_cut_off_may_be_finished(world: SimulatedTarget) -> None:
    world.now = SUNDAY
    world.fates = {world.instants + 2: Fate.KILL}
    with pytest.raises(Killed):
        run(destroy(world))
    world.now = SUNDAY + 86_400
    run(destroy(world))
    assert world.apps == {}


def test_a_move_off_a_node_is_not_bound(world: SimulatedTarget) -> None:
    run(workflow.move(world, SERVICE, lambda: "apart", clock=lambda: world.now))
    assert states(world) == ["retired", "live"]


def test_a_waived_window_does_not_bind_the_service_it_is_waived_for(
    world: SimulatedTarget,
) -> None:
    waiver = (
        "waivers: [{rule: maintenance.window, services: [chat], reason: agreed, owner: ann,"
        ' expires: "2026-12-31"}]\n'
    )
    shelf, version = world.policies.read()
    world.policies.write(shelf.applied("acme", POLICY + waiver, 0.0, "ann@desk"), version)
    run(deploy(world, "b", window=None))
    assert states(world)[-1] == "live"
    world.now = datetime(2027, 1, 2, 12, tzinfo=UTC).timestamp()
    with pytest.raises(RefusedError, match="of policy acme"):
        run(deploy(world, "c", window=None))
