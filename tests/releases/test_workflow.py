"""The flow, by example: what it records, asks, makes and raises."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from llmops import reconciling, workflow
from llmops.errors import BusyError, InputError, RefusedError, TargetError
from llmops.events import Event, KeyMade, Planned, Progress, StepBegun, StepEnded
from llmops.releases import History, Phase, State
from tests.releases.plans import DRAIN, SERVICE, make_deployment, plan_of
from tests.releases.simulated import App, Fate, Killed, SimulatedTarget, run


@pytest.fixture
def world() -> SimulatedTarget:
    return SimulatedTarget()


def deploy(
    world: SimulatedTarget,
    source: str,
    *,
    confirm: Any = None,
    unattended: bool = False,
    **more: Any,
) -> Any:
    return workflow.deploy(
        world,
        make_deployment(source, **more),
        confirm=confirm or (lambda _: True),
        unattended=unattended,
        planner=plan_of,
        clock=lambda: world.now,
    )


def rollback(world: SimulatedTarget, number: int | None = None) -> Any:
    return workflow.rollback(world, SERVICE, number, clock=lambda: world.now)


def destroy(world: SimulatedTarget) -> Any:
    world.gap_allowed = True
    return workflow.destroy(world, SERVICE, clock=lambda: world.now)


def steps(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, StepBegun)]


def states(world: SimulatedTarget) -> list[str]:
    return [release.state.value for release in world.store.history.releases]


def test_a_first_deploy_is_planned_staged_verified_and_shifted_in_this_order(
    world: SimulatedTarget,
) -> None:
    events, finished = run(deploy(world, "a"))
    assert isinstance(next(e for e in events if not isinstance(e, Progress)), Planned)
    assert steps(events) == ["stage release 1", "verify release 1", "shift release 1"]
    assert [e.text for e in events if isinstance(e, StepEnded)] == steps(events)
    assert finished.changed
    assert finished.release is not None
    assert (finished.release.number, finished.url) == (1, "http://127.0.0.1:8000/v1")
    assert finished.release.verified_at is not None


def test_planning_changes_nothing(world: SimulatedTarget) -> None:
    _, planned = run(workflow.plan(world, make_deployment("a"), planner=plan_of))
    assert planned.changed
    assert (world.changes, world.store.writes) == (0, 0)


def test_an_unchanged_deployment_records_no_release_and_asks_nothing(
    world: SimulatedTarget,
) -> None:
    run(deploy(world, "a"))
    before = world.changes, world.store.writes

    def confirm(_: Planned) -> bool:
        pytest.fail("there is nothing to ask")

    events, finished = run(deploy(world, "a", confirm=confirm))
    assert not finished.changed
    assert steps(events) == []
    assert (world.changes, world.store.writes) == before


def test_an_unchanged_deployment_is_repaired_without_a_new_release(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    world.reboot()
    events, finished = run(deploy(world, "a"))
    assert steps(events) == ["stage release 1", "shift release 1"]
    assert not finished.changed
    assert states(world) == ["live"]


def test_an_update_keeps_the_old_release_until_the_new_one_has_the_traffic(
    world: SimulatedTarget,
) -> None:
    run(deploy(world, "a"))
    world.apps[1].in_flight = 1
    events, _ = run(deploy(world, "b"))
    assert steps(events) == [
        "stage release 2", "verify release 2", "shift release 2", "drain release 1",
        "remove release 1",
    ]  # fmt: skip
    assert states(world) == ["retired", "live"]


@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
def test_a_drain_that_does_not_end_is_ended(world: SimulatedTarget, strategy: str) -> None:
    run(deploy(world, "a", strategy=strategy))
    world.gap_allowed = strategy == "recreate"
    world.apps[1].in_flight = 2  # never ends in the simulated target
    began = world.now
    events, _ = run(deploy(world, "b", strategy=strategy))
    assert steps(events).count("drain release 1") == 1
    assert world.now - began < DRAIN + 30
    assert list(world.apps) == [2]


def test_recreate_removes_the_old_release_first(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    world.gap_allowed = True
    events, _ = run(deploy(world, "b", strategy="recreate"))
    assert steps(events)[:2] == ["remove release 1", "stage release 2"]


BAD = [
    ("bad-start", "did not start: bad weights", "llmops logs"),
    ("bad-answer", "did not prove itself", ""),
    ("bad-download", "not what its manifest says", "fetch it again"),
]


@pytest.mark.parametrize(("source", "message", "hint"), BAD)
@pytest.mark.parametrize("strategy", ["rolling", "recreate"])
def test_a_failed_update_leaves_the_last_good_release_serving(
    world: SimulatedTarget, source: str, message: str, hint: str, strategy: str
) -> None:
    run(deploy(world, "a"))
    world.gap_allowed = strategy == "recreate"
    with pytest.raises(TargetError, match=message) as caught:
        run(deploy(world, source, strategy=strategy))
    assert caught.value.exit_code == 4
    assert caught.value.serving
    assert caught.value.message.endswith("; release 1 still serves")
    assert caught.value.hint == hint
    assert caught.value.__cause__ is not None
    assert states(world) == ["live", "failed"]
    assert message in world.store.history.releases[1].reason
    assert world.shares == {1: 100}
    assert list(world.apps) == [1]
    assert world.made_keys, "the keys of a service that serves were taken away"


@pytest.mark.parametrize(("source", "message", "hint"), BAD)
def test_a_failed_first_deploy_leaves_nothing(
    world: SimulatedTarget, source: str, message: str, hint: str
) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        run(deploy(world, source))
    assert caught.value.exit_code == 5
    assert caught.value.message.endswith("; nothing serves")
    assert states(world) == ["failed"]
    assert not world.apps
    assert world.retired == [True], "the logs are needed to learn why"


def test_the_same_deployment_may_be_tried_again_after_it_failed(world: SimulatedTarget) -> None:
    for _ in range(2):
        with pytest.raises(TargetError):
            run(deploy(world, "bad-start"))
    assert states(world) == ["failed", "failed"]


def test_a_live_release_that_is_lost_does_not_stand_in_the_way_of_the_next(
    world: SimulatedTarget,
) -> None:
    run(deploy(world, "a"))
    world.reboot()
    world.lost_models = {"a rolling"}
    events, finished = run(deploy(world, "b"))
    assert finished.release is not None
    assert finished.release.number == 2
    assert any("release 1 is lost" in e.reason for e in events if isinstance(e, Progress))
    assert states(world) == ["retired", "live"]


def test_a_live_release_that_cannot_be_brought_back_is_reported_once(
    world: SimulatedTarget,
) -> None:
    run(deploy(world, "a"))
    world.reboot()
    world.lost_models = {"a rolling"}
    with pytest.raises(TargetError, match="manifest") as caught:
        run(deploy(world, "a"))
    assert caught.value.exit_code == 5
    assert states(world) == ["live"], "it may come back by itself, or by the next run"


def test_when_both_are_lost_the_new_one_s_cause_is_told(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    world.reboot()
    world.lost_models = {"a rolling"}
    with pytest.raises(TargetError, match="bad weights; nothing serves"):
        run(deploy(world, "bad-start"))


def test_traffic_that_cannot_be_moved_leaves_the_old_release_serving(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(deploy(world, "a"))

    def no_shift(*_: object) -> Any:
        yield Progress("shift", "waiting")
        raise TargetError("the gateway did not acknowledge")

    with monkeypatch.context() as patch:
        patch.setattr(world, "shift", no_shift)
        with pytest.raises(TargetError, match="acknowledge") as caught:
            run(deploy(world, "b"))
    assert caught.value.exit_code == 4
    assert world.shares[1] == 100
    _, finished = run(deploy(world, "b"))
    assert not finished.changed
    assert world.shares == {2: 100}


def test_a_killed_run_is_continued_with_the_same_number(world: SimulatedTarget) -> None:
    world.fates = {2: Fate.KILL}
    with pytest.raises(Killed):
        run(deploy(world, "a"))
    assert states(world) == ["staging"]
    run(deploy(world, "a"))
    assert states(world) == ["live"]


def test_what_a_killed_run_left_of_another_plan_is_removed(world: SimulatedTarget) -> None:
    world.fates = {3: Fate.KILL}
    with pytest.raises(Killed):
        run(deploy(world, "a"))
    run(deploy(world, "b"))
    assert states(world) == ["failed", "live"]
    assert world.store.history.releases[0].reason == "superseded"
    assert list(world.apps) == [2]


@pytest.mark.parametrize("instant", range(1, 8))
def test_an_interrupt_leaves_nothing_half_done(world: SimulatedTarget, instant: int) -> None:
    run(deploy(world, "a"))
    world.fates = {world.instants + instant: Fate.INTERRUPT}
    with pytest.raises(KeyboardInterrupt):
        run(deploy(world, "b"))
    live = world.store.history.live
    assert live is not None
    assert live.number in world.apps
    assert world.store.history.staging is None
    if live.number == 1:
        assert list(world.apps) == [1], "the half-staged release was left"
        assert world.store.history.releases[1].reason == "interrupted"
    assert not world.held


def test_an_interrupted_first_deploy_leaves_nothing(world: SimulatedTarget) -> None:
    flow = deploy(world, "a")
    for event in flow:
        if isinstance(event, Progress) and event.reason == "starting":
            break
    assert world.apps
    flow.close()  # what the command line does when it is left
    assert not world.apps
    assert world.retired == [True]
    assert states(world) == ["failed"]
    assert not world.held


def test_a_second_interrupt_leaves_a_record_that_the_next_run_clears(
    world: SimulatedTarget,
) -> None:
    world.fates = {3: Fate.INTERRUPT, 4: Fate.INTERRUPT}
    with pytest.raises(KeyboardInterrupt):
        run(deploy(world, "a"))
    assert states(world) == ["failed"]
    assert world.apps
    run(deploy(world, "a"))
    assert list(world.apps) == [2]


def test_nothing_is_done_without_the_user_s_word(world: SimulatedTarget) -> None:
    shown: list[Planned] = []

    def refuse(planned: Planned) -> bool:
        shown.append(planned)
        return False

    with pytest.raises(RefusedError, match="nothing was changed"):
        run(deploy(world, "a", confirm=refuse))
    assert shown[0].changed
    assert (world.changes, world.store.writes) == (0, 0)


def test_a_plan_whose_facts_changed_while_it_was_looked_at_is_refused(
    world: SimulatedTarget,
) -> None:
    world.digests = itertools.cycle(["shown", "now"])
    with pytest.raises(RefusedError, match="changed since it was shown"):
        run(deploy(world, "a"))
    assert world.store.writes == 0


def test_an_unattended_deploy_plans_again_when_facts_changed_meanwhile(
    world: SimulatedTarget,
) -> None:
    world.digests = itertools.chain(["shown", "now"], itertools.repeat("now"))
    events, finished = run(deploy(world, "a", unattended=True))
    assert [e.plan.facts_digest for e in events if isinstance(e, Planned)] == ["shown", "now"]
    assert finished.release.plan.facts_digest == "now"


def test_an_unattended_deploy_is_refused_when_facts_never_settle(world: SimulatedTarget) -> None:
    world.digests = map(str, itertools.count())
    with pytest.raises(RefusedError, match="changed since it was shown"):
        run(deploy(world, "a", unattended=True))
    assert world.store.writes == 0


def test_a_second_writer_is_refused_before_it_looks_anything_up(world: SimulatedTarget) -> None:
    world.held = "deployed by pid 7"
    flow = deploy(world, "a")
    with pytest.raises(BusyError, match="pid 7"):
        next(flow)


def test_declared_keys_that_are_missing_are_made_and_shown_once(world: SimulatedTarget) -> None:
    events, _ = run(deploy(world, "a", keys=("one", "two")))
    made = [e for e in events if isinstance(e, KeyMade)]
    assert [(e.name, e.key) for e in made] == [("one", "text-of-one"), ("two", "text-of-two")]
    assert "text-of" not in repr(events)
    events, _ = run(deploy(world, "a", keys=("one", "two", "three")))
    assert [e.name for e in events if isinstance(e, KeyMade)] == ["three"]


def test_no_key_is_made_for_a_release_that_failed(world: SimulatedTarget) -> None:
    with pytest.raises(TargetError):
        run(deploy(world, "bad-answer"))
    assert not world.made_keys


def test_a_record_that_others_keep_writing_is_given_up_with_a_word(
    world: SimulatedTarget,
) -> None:
    world.store.conflicts = reconciling.WRITES - 1
    run(deploy(world, "a"))
    world.store.conflicts = 10**6
    with pytest.raises(TargetError, match="written by somebody else"):
        run(deploy(world, "b"))


def test_rollback_repeats_the_last_good_release_before(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    run(deploy(world, "b"))
    with pytest.raises(TargetError):
        run(deploy(world, "bad-start"))
    _, finished = run(rollback(world))
    assert finished.changed
    assert finished.release is not None
    assert (finished.release.number, finished.release.rollback_of) == (4, 1)
    assert finished.release.plan.model.source == "a rolling"


def test_rollback_to_a_number(world: SimulatedTarget) -> None:
    for source in "abc":
        run(deploy(world, source))
    _, finished = run(rollback(world, 1))
    assert finished.release is not None
    assert finished.release.rollback_of == 1
    _, again = run(rollback(world, 1))
    assert not again.changed
    assert again.release == finished.release


@pytest.mark.parametrize("instant", range(1, 10))
def test_a_killed_rollback_said_again_does_not_roll_back_the_rollback(
    world: SimulatedTarget, instant: int
) -> None:
    run(deploy(world, "a"))
    run(deploy(world, "b"))
    world.fates = {world.instants + instant: Fate.KILL}
    with pytest.raises(Killed):
        run(rollback(world))
    _, finished = run(rollback(world))
    assert finished.release is not None
    assert finished.release.plan.model.source == "a rolling"
    assert len(states(world)) == 3


def test_what_cannot_be_rolled_back_says_what_can(world: SimulatedTarget) -> None:
    with pytest.raises(InputError, match="no service 'chat'"):
        run(rollback(world))
    run(deploy(world, "a"))
    with pytest.raises(InputError, match="no earlier good release"):
        run(rollback(world))
    with pytest.raises(TargetError):
        run(deploy(world, "bad-start"))
    for number in (2, 9):
        with pytest.raises(InputError, match=f"no good release {number}") as caught:
            run(rollback(world, number))
        assert caught.value.hint == "good ones are: 1"
    assert states(world) == ["live", "failed"]


def test_destroy_drains_removes_and_retires(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    world.apps[1].in_flight = 1
    world.apps[77] = App(Phase.READY, in_flight=1)
    events, finished = run(destroy(world))
    assert steps(events) == ["drain release 1", "remove release 1", "remove release 77"]
    assert (finished.release, finished.changed) == (None, True)
    assert not world.apps
    assert world.retired == [False]
    assert states(world) == ["retired"]


def test_destroying_twice_changes_nothing_the_second_time(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    run(destroy(world))
    before = world.changes, world.store.writes
    _, finished = run(destroy(world))
    assert not finished.changed
    assert (world.changes, world.store.writes) == before


def test_a_destroyed_service_comes_back_under_a_new_number(world: SimulatedTarget) -> None:
    run(deploy(world, "a"))
    run(destroy(world))
    _, finished = run(deploy(world, "a"))
    assert finished.changed
    assert states(world) == ["retired", "live"]


def test_a_service_that_never_was_cannot_be_destroyed(world: SimulatedTarget) -> None:
    with pytest.raises(InputError, match="no service 'chat'"):
        run(destroy(world))
    assert world.store.history == History(SERVICE)


def test_a_reconciler_that_never_settles_is_stopped(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "observe", lambda service: ())
    with pytest.raises(TargetError, match="did not settle"):
        run(deploy(world, "a"))
    assert State.FAILED.value not in states(world)
