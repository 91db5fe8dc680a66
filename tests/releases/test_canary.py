"""A release that is tried on some of the traffic, by the real flow over a simulated target."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from llmops import workflow
from llmops.errors import TargetError
from llmops.events import Event, Progress, StepBegun
from llmops.releases import Figures, Phase, State
from tests.releases.plans import SERVICE, WATCH, make_deployment, plan_of
from tests.releases.simulated import Fate, Killed, SimulatedTarget, run


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 serves."""
    made = SimulatedTarget()
    run(deploy(made, "a"))
    return made


def deploy(world: SimulatedTarget, source: str, strategy: str = "canary", **more: Any) -> Any:
    return workflow.deploy(
        world,
        make_deployment(source, strategy=strategy, **more),
        planner=plan_of,
        clock=lambda: world.now,
        sleep=world.sleep,
    )


def steps(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, StepBegun)]


def told(events: list[Event], phase: str) -> list[str]:
    return [e.reason for e in events if isinstance(e, Progress) and e.phase == phase]


def states(world: SimulatedTarget) -> list[str]:
    return [release.state.value for release in world.store.history.releases]


def test_the_first_release_has_all_traffic_at_once() -> None:
    events, _ = run(deploy(SimulatedTarget(), "a"))
    assert steps(events) == ["stage release 1", "verify release 1", "shift release 1"]


def test_a_release_gets_some_of_the_traffic_is_watched_and_gets_all(
    world: SimulatedTarget,
) -> None:
    events, finished = run(deploy(world, "b"))
    assert steps(events) == [
        "stage release 2", "verify release 2", "shift release 2", "watch release 2",
        "shift release 2", "remove release 1",
    ]  # fmt: skip
    assert states(world) == ["retired", "live"]
    assert world.shares == {2: 100}
    assert finished.release.verified_at - finished.release.watched_since >= WATCH


def test_while_it_is_watched_the_other_has_the_rest(world: SimulatedTarget) -> None:
    flow = deploy(world, "b", canary={"steps": [25], "watch": "20s"})
    moment = next(e for e in flow if isinstance(e, Progress) and e.phase == "watch")
    assert world.shares == {1: 75, 2: 25}
    assert states(world) == ["live", "staging"]
    assert moment.deadline == 20
    assert moment.reason == (
        "release 2 has 25 % of new requests: 0 of 100 requests failed (0 of 100)"
    )
    run(flow)
    assert world.shares == {2: 100}


def test_a_release_that_is_worse_is_taken_back_and_recorded_as_failed(
    world: SimulatedTarget,
) -> None:
    with pytest.raises(TargetError, match="release 2 is worse than 1: 33 of its 100") as caught:
        run(deploy(world, "bad-canary"))
    assert (caught.value.exit_code, caught.value.serving) == (4, True)
    assert states(world) == ["live", "failed"]
    assert world.shares == {1: 100}
    assert list(world.apps) == [1]
    failed = world.store.history.find(2)
    assert failed is not None
    assert "33 of its 100 requests failed" in failed.reason
    assert failed.verified_at is None, "it is nothing to roll back to"


def test_a_release_that_is_worse_may_finish_what_it_has_begun(world: SimulatedTarget) -> None:
    flow = deploy(world, "bad-canary")
    for event in flow:
        if isinstance(event, StepBegun) and event.text == "watch release 2":
            world.apps[2].in_flight = 1
            break
    with pytest.raises(TargetError, match="worse"):
        run(flow)
    assert [number for number, _ in world.drains] == [2]


def test_a_release_that_is_worse_is_taken_back_before_its_time_is_over(
    world: SimulatedTarget,
) -> None:
    began = world.now
    with pytest.raises(TargetError, match="worse"):
        run(deploy(world, "bad-canary", canary={"watch": "1d"}))
    assert world.now - began < 60


def test_a_release_that_ends_while_it_is_watched_has_failed(world: SimulatedTarget) -> None:
    flow = deploy(world, "b")
    for event in flow:
        if isinstance(event, StepBegun) and event.text == "watch release 2":
            world.apps[2].phase = Phase.FAILED
            world.answering = False
            break
    with pytest.raises(TargetError, match="release 2 ended while it was watched"):
        run(flow)
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})


def test_with_too_few_requests_the_verified_generation_decides_and_that_is_said(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(service: str) -> Mapping[int, Figures]:
        return {1: Figures(12), 2: Figures(1)}

    monkeypatch.setattr(world, "watched", few)
    events, _ = run(deploy(world, "b"))
    assert told(events, "watch")[-1] == (
        "too few requests to compare release 2 with 1 (0 of 1 requests failed (0 of 12)): the"
        " generation that proved it decides"
    )
    assert states(world) == ["retired", "live"]


def test_where_traffic_cannot_be_shared_it_is_rolling_and_that_is_said(
    world: SimulatedTarget,
) -> None:
    events, _ = run(deploy(world, "other-pods"))
    assert told(events, "plan") == ["rolling instead of canary: its pods are others"]
    assert "watch release 2" not in steps(events)


def test_a_rollback_is_not_watched(world: SimulatedTarget) -> None:
    run(deploy(world, "b"))
    events, _ = run(workflow.rollback(world, SERVICE, clock=lambda: world.now))
    assert "watch release 3" not in steps(events)
    assert states(world) == ["retired", "retired", "live"]


def test_a_run_that_was_killed_goes_on_with_what_is_left_of_the_watch(
    world: SimulatedTarget,
) -> None:
    flow = deploy(world, "b", canary={"watch": "60s"})
    looks = (e for e in flow if isinstance(e, Progress) and e.phase == "watch")
    list(itertools.islice(looks, 5))
    world.fates = {world.instants + 1: Fate.KILL}
    with pytest.raises(Killed):
        run(flow)
    since = world.store.history.releases[-1].watched_since
    assert since is not None
    assert world.shares == {1: 90, 2: 10}, "nobody was there to take it back"
    events, _ = run(deploy(world, "b", canary={"watch": "60s"}))
    assert steps(events)[0] == "watch release 2"
    live = world.store.history.live
    assert live is not None
    assert (live.number, live.watched_since) == (2, since)
    assert (live.verified_at or 0) - since < 70


def test_an_interrupted_watch_gives_all_traffic_back(world: SimulatedTarget) -> None:
    flow = deploy(world, "b")
    next(e for e in flow if isinstance(e, Progress) and e.phase == "watch")
    flow.close()
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})
    assert list(world.apps) == [1]
    assert world.store.history.releases[-1].reason == "interrupted"


def test_another_deploy_takes_back_what_is_watched(world: SimulatedTarget) -> None:
    flow = deploy(world, "b")
    for event in flow:
        if isinstance(event, StepBegun) and event.text == "watch release 2":
            world.fates = {world.instants + 1: Fate.KILL}
            break
    with pytest.raises(Killed):
        run(flow)
    run(deploy(world, "c"))
    assert states(world) == ["retired", "failed", "live"]
    assert world.store.history.releases[1].state is State.FAILED
    assert world.shares == {3: 100}
