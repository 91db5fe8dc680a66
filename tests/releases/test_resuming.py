"""A watch whose command was killed, gone on with by somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from llmops import workflow
from llmops.errors import BusyError, TargetError
from llmops.events import StepBegun
from tests.releases.plans import SERVICE
from tests.releases.simulated import Fate, Killed, SimulatedTarget, run, survive
from tests.releases.test_by_hand import deploy, killed_while_watching


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 serves."""
    made = SimulatedTarget()
    run(deploy(made, "a"))
    return made


def resume(world: SimulatedTarget) -> Any:
    return workflow.resume(world, SERVICE, clock=lambda: world.now, sleep=world.sleep)


def states(world: SimulatedTarget) -> list[str]:
    return [release.state.value for release in world.store.history.releases]


def test_it_is_watched_to_its_end_and_gets_all_traffic(world: SimulatedTarget) -> None:
    killed_while_watching(world, canary={"steps": [10, 50], "watch": "60s"})
    events, done = run(resume(world))
    assert done
    assert [e.text for e in events if isinstance(e, StepBegun)] == [
        "watch release 2", "shift release 2", "watch release 2", "shift release 2",
        "remove release 1",
    ]  # fmt: skip
    assert (states(world), world.shares) == (["retired", "live"], {2: 100})
    live = world.store.history.live
    assert live is not None
    assert [w.share for w in live.watched] == [10, 50]


def test_what_is_worse_is_taken_back_though_its_command_is_gone(world: SimulatedTarget) -> None:
    flow = deploy(world, "bad-canary", canary={"watch": "1d"})
    for event in flow:
        if isinstance(event, StepBegun) and event.text == "watch release 2":
            world.fates = {world.instants + 1: Fate.KILL}
            break
    with pytest.raises(Killed):
        run(flow)
    world.held = ""
    with pytest.raises(TargetError, match="release 2 is worse than 1"):
        run(resume(world))
    assert (states(world), world.shares) == (["live", "failed"], {1: 100})


def test_who_is_at_it_is_left_alone(world: SimulatedTarget) -> None:
    killed_while_watching(world)
    with world.lock(SERVICE, "deployed"), pytest.raises(BusyError):
        run(resume(world))
    assert states(world) == ["live", "staging"]


def test_nothing_is_begun_where_no_traffic_is_shared(world: SimulatedTarget) -> None:
    before = world.changes
    assert run(resume(world)) == ([], False)
    flow = deploy(world, "b")
    for event in flow:
        if isinstance(event, StepBegun) and event.text == "verify release 2":
            world.fates = {world.instants + 1: Fate.KILL}
            break
    survive(flow)
    world.held, before = "", world.changes
    assert run(resume(world)) == ([], False)
    assert (world.changes, states(world)) == (before, ["live", "staging"])


@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT, Fate.CRASH])
def test_whatever_strikes_it_the_same_deploy_goes_on(fate: Fate) -> None:
    for instant in range(1, 100):
        world = SimulatedTarget()
        run(deploy(world, "a"))
        killed_while_watching(world, canary={"watch": "20s"})
        world.fates = {world.instants + instant: fate}
        survive(resume(world))
        if world.fates:
            break
        world.held = ""
        run(deploy(world, "b", canary={"watch": "20s"}))
        live = world.store.history.live
        assert live is not None
        assert (live.plan.identity, world.shares) == ("b canary", {live.number: 100})
    assert 3 <= instant < 99, f"{fate} landed {instant} times"
