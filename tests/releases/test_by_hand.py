"""A watch that somebody ends by hand, while another command watches or after it was killed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from llmops import workflow
from llmops.errors import BusyError, InputError, RefusedError, TargetError
from llmops.events import Event, Finished, Progress, StepBegun
from llmops.releases import Figures, State
from llmops.workflow import by_hand
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import Fate, Killed, SimulatedTarget, run, survive

DAY: dict[str, Any] = {"canary": {"watch": "1d"}}
ANN, BOB = "ann@desk", "bob@desk"


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 serves."""
    made = SimulatedTarget()
    run(deploy(made, "a"))
    return made


def deploy(world: SimulatedTarget, source: str, **more: Any) -> Any:
    return workflow.deploy(
        world,
        make_deployment(source, strategy="canary", **more),
        planner=plan_of,
        clock=lambda: world.now,
        sleep=world.sleep,
    )


def promote(world: SimulatedTarget, by: str = ANN) -> Any:
    return workflow.promote(world, SERVICE, by=by, clock=lambda: world.now, sleep=world.sleep)


def rollback(world: SimulatedTarget, by: str = ANN) -> Any:
    return workflow.rollback(world, SERVICE, by=by, clock=lambda: world.now, sleep=world.sleep)


def watching(world: SimulatedTarget, source: str = "b", **more: Any) -> Any:
    """A deploy that watches release 2, and goes on when it is asked to."""
    flow = deploy(world, source, **(DAY | more))
    for event in flow:
        if isinstance(event, Progress) and event.phase == "watch":
            return flow
    raise AssertionError("it was not watched")


def killed_while_watching(world: SimulatedTarget, **more: Any) -> None:
    flow = watching(world, **more)
    world.fates = {world.instants + 1: Fate.KILL}
    with pytest.raises(Killed):
        run(flow)
    world.held = ""


def told(events: list[Event]) -> str:
    return "\n".join(e.reason for e in events if isinstance(e, Progress) and e.phase == "watch")


def steps(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, StepBegun)]


def states(world: SimulatedTarget) -> list[str]:
    return [release.state.value for release in world.store.history.releases]


def test_who_watches_ends_well_when_somebody_promotes(world: SimulatedTarget) -> None:
    flow = watching(world)
    other = promote(world)
    assert "recorded as promoted; chat is being deployed" in next(other).reason
    events, finished = run(flow)
    assert "release 2 was promoted by ann@desk" in told(events)
    assert finished.release.number == 2
    _, ended = run(other)
    assert (ended.release.number, ended.changed) == (2, True)
    assert (states(world), world.shares) == (["retired", "live"], {2: 100})
    live = world.store.history.live
    assert live is not None
    assert live.ended_by == ANN
    assert live.watched[-1].outcome == "ended by ann@desk"
    assert (live.watched[-1].share, live.watched[-1].new.requests) == (10, 100)


def test_who_watches_fails_when_somebody_takes_it_back(world: SimulatedTarget) -> None:
    flow = watching(world)
    other = rollback(world)
    next(other)
    with pytest.raises(TargetError, match="release 2 was taken back by ann@desk; release 1") as end:
        run(flow)
    assert (end.value.exit_code, end.value.serving) == (4, True)
    _, ended = run(other)
    assert (ended.release.number, ended.changed) == (1, True)
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})
    assert list(world.apps) == [1]
    failed = world.store.history.releases[1]
    assert (failed.reason, failed.ended_by) == ("taken back by ann@desk", ANN)
    assert not failed.going_back


@pytest.mark.parametrize("verb", [promote, rollback])
def test_it_does_not_wait_for_who_watches_to_drain(world: SimulatedTarget, verb: Any) -> None:
    flow = watching(world)
    other = verb(world)
    next(other)
    for event in flow:
        if isinstance(event, StepBegun) and event.text.startswith(("drain", "remove")):
            break
    assert isinstance(next(other), Finished)
    survive(flow)


def test_a_holder_that_does_not_look_is_named_in_the_end(world: SimulatedTarget) -> None:
    flow = watching(world)
    before = world.now
    with pytest.raises(BusyError, match="chat is being deployed"):
        run(promote(world))
    assert world.now - before < by_hand.WITHIN + 10
    assert states(world) == ["retired", "live"], "it is recorded: whoever looks next does it"
    run(flow)
    assert world.shares == {2: 100}


def test_after_a_kill_it_is_done_at_once(world: SimulatedTarget) -> None:
    killed_while_watching(world)
    events, finished = run(promote(world))
    assert steps(events) == ["shift release 2", "remove release 1"]
    assert finished.release.number == 2
    assert world.shares == {2: 100}


def test_after_a_kill_it_is_taken_back_at_once(world: SimulatedTarget) -> None:
    killed_while_watching(world)
    events, finished = run(rollback(world))
    assert steps(events) == ["shift release 1", "remove release 2"]
    assert finished.release.number == 1
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})


@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT, Fate.CRASH])
@pytest.mark.parametrize("verb", [promote, rollback])
def test_said_again_after_a_kill_at_any_instant_it_ends_the_same(verb: Any, fate: Fate) -> None:
    serves = "b" if verb is promote else "a"
    for instant in range(1, 100):
        world = SimulatedTarget()
        run(deploy(world, "z"))
        run(deploy(world, "a"))
        killed_while_watching(world)
        world.fates = {world.instants + instant: fate}
        survive(verb(world))
        if world.fates:
            break
        world.held = ""
        cut_off = world.store.history.on_watch or any(
            one.going_back for one in world.store.history.releases
        )
        if verb is promote or cut_off:
            survive(verb(world))
        live = world.store.history.live
        assert live is not None
        assert live.plan.identity == f"{serves} canary", f"after {fate} at {instant}"
        assert world.shares == {live.number: 100}
    assert 3 <= instant < 99, f"{fate} landed {instant} times"


def test_of_two_who_want_different_things_the_first_is_heard(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = watching(world)
    count = world.watched

    def meanwhile(service: str) -> Mapping[int, Figures]:
        monkeypatch.setattr(world, "watched", count)
        next(promote(world, BOB))
        return count(service)

    monkeypatch.setattr(world, "watched", meanwhile)
    with pytest.raises(RefusedError, match="release 2 was promoted by bob@desk meanwhile"):
        run(rollback(world))
    run(flow)
    assert world.shares == {2: 100}


def test_without_a_watch_there_is_nothing_to_promote(world: SimulatedTarget) -> None:
    with pytest.raises(InputError, match="no release of chat is being watched"):
        run(promote(world))


def test_promoted_twice_is_promoted_once(world: SimulatedTarget) -> None:
    killed_while_watching(world)
    run(promote(world))
    before = world.changes
    _, finished = run(promote(world, BOB))
    assert (finished.release.number, finished.changed) == (2, False)
    assert finished.release.ended_by == ANN
    assert world.changes == before


def test_the_rollback_after_one_that_took_a_release_back_goes_one_further() -> None:
    world = SimulatedTarget()
    for source in "za":
        run(deploy(world, source))
    killed_while_watching(world)
    run(rollback(world))
    _, finished = run(rollback(world))
    assert finished.release.rollback_of == 1


def test_a_rollback_to_a_number_takes_nothing_back_by_hand(world: SimulatedTarget) -> None:
    flow = watching(world)
    with pytest.raises(BusyError, match="chat is being deployed"):
        run(workflow.rollback(world, SERVICE, 1, by=ANN, clock=lambda: world.now))
    assert states(world) == ["live", "staging"]
    flow.close()


def test_each_step_is_watched_with_its_own_share_and_its_numbers_are_kept(
    world: SimulatedTarget,
) -> None:
    flow = deploy(world, "b", canary={"steps": [10, 25, 50], "watch": "20s"})
    shared = []
    for event in flow:
        if isinstance(event, Progress) and event.phase == "watch" and event.deadline:
            shared.append(world.shares[2])
            assert world.shares[1] == 100 - world.shares[2]
            assert event.deadline == 20
            assert f"release 2 has {world.shares[2]} % of new requests" in event.reason
    assert [share for share, _ in itertools.groupby(shared)] == [10, 25, 50]
    live = world.store.history.live
    assert live is not None
    assert [(w.share, w.outcome) for w in live.watched] == [
        (10, "no worse"), (25, "no worse"), (50, "no worse"),
    ]  # fmt: skip
    assert all(w.until - w.since >= 20 for w in live.watched)
    assert [w.since for w in live.watched[1:]] == [w.until for w in live.watched[:-1]]
    assert all(w.new.requests == w.old.requests == 100 for w in live.watched)


def test_a_run_that_was_killed_goes_on_with_the_step_it_was_at(world: SimulatedTarget) -> None:
    wanted: dict[str, Any] = {"canary": {"steps": [10, 50], "watch": "60s"}}
    flow = deploy(world, "b", **wanted)
    next(e for e in flow if isinstance(e, Progress) and " 50 % of new" in e.reason)
    world.fates = {world.instants + 1: Fate.KILL}
    with pytest.raises(Killed):
        run(flow)
    world.held = ""
    events, _ = run(deploy(world, "b", **wanted))
    assert "10 % of new requests" not in told(events)
    live = world.store.history.live
    assert live is not None
    assert [w.share for w in live.watched] == [10, 50]


def test_a_release_that_is_worse_in_a_later_step_is_taken_back_with_its_numbers(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = world.watched

    def worse_with_half(service: str) -> Mapping[int, Figures]:
        found = count(service)
        bad = found.get(2) and world.shares[2] == 50
        return {**found, 2: replace(found[2], failures=40)} if bad else found

    monkeypatch.setattr(world, "watched", worse_with_half)
    with pytest.raises(TargetError, match="release 2 is worse than 1: 40 of its 100"):
        run(deploy(world, "b", canary={"steps": [10, 50], "watch": "20s"}))
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})
    failed = world.store.history.releases[1]
    assert failed.state is State.FAILED
    assert [(w.share, w.new.failures) for w in failed.watched] == [(10, 0), (50, 40)]
    assert failed.watched[1].outcome.startswith("worse: 40 of its 100 requests failed")


def test_a_step_with_too_few_requests_is_told_and_the_next_follows(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "watched", lambda _service: {1: Figures(12), 2: Figures(1)})
    events, _ = run(deploy(world, "b", canary={"steps": [10, 50], "watch": "20s"}))
    assert "(0 of 1 requests failed (0 of 12)): the next step follows" in told(events)
    assert "(0 of 1 requests failed (0 of 12)): the generation that proved it decides" in told(
        events
    )
    live = world.store.history.live
    assert live is not None
    assert [w.outcome for w in live.watched] == ["too few requests"] * 2
