"""What was live is brought back after its machine went down, by the record alone."""

from __future__ import annotations

import pytest

from llmops import workflow
from llmops.errors import BusyError, LlmopsError, ModelError
from llmops.events import Event, Progress, StepBegun
from llmops.releases import State
from tests.releases.plans import SERVICE
from tests.releases.simulated import SimulatedTarget, run
from tests.releases.test_by_hand import deploy, killed_while_watching


@pytest.fixture
def world() -> SimulatedTarget:
    """Release 1 serves."""
    made = SimulatedTarget()
    run(deploy(made, "a"))
    return made


def test_what_was_live_serves_again_after_a_restart(world: SimulatedTarget) -> None:
    world.reboot()
    assert world.shares == {}, "the fault did not land"
    _, serve = run(workflow.bring_back(world))
    assert (serve, world.shares) == ((SERVICE,), {1: 100})
    assert len(world.store.history.releases) == 1, "a release was made"


def test_the_second_time_does_nothing_but_ask(world: SimulatedTarget) -> None:
    world.reboot()
    first, _ = run(workflow.bring_back(world))
    again, serve = run(workflow.bring_back(world))
    assert any(isinstance(event, StepBegun) for event in first)
    assert not any(isinstance(event, StepBegun) for event in again)
    assert serve == (SERVICE,)
    assert [event.phase for event in again if isinstance(event, Progress)] == ["verify"]


def test_what_was_destroyed_stays_away(world: SimulatedTarget) -> None:
    world.gap_allowed = True
    run(workflow.destroy(world, SERVICE))
    assert run(workflow.bring_back(world))[1] == ()


def test_a_release_that_was_on_trial_is_not_gone_on_with(world: SimulatedTarget) -> None:
    killed_while_watching(world, canary={"watch": "1d"})
    world.reboot()
    run(workflow.bring_back(world))
    assert world.shares == {1: 100}
    assert world.store.history.releases[0].state is State.LIVE


def test_who_is_at_it_is_left_alone(world: SimulatedTarget) -> None:
    world.reboot()
    world.held = "deployed"
    with pytest.raises(BusyError, match="is being deployed"):
        run(workflow.bring_back(world))
    assert world.shares == {}


def test_one_that_cannot_be_brought_back_keeps_no_other_back(
    world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reboot()
    monkeypatch.setattr(world.store, "services", lambda: ("away", SERVICE))
    read = world.store.read

    def damaged(service: str) -> object:
        if service == "away":
            raise ModelError("its record is damaged")
        return read(service)

    monkeypatch.setattr(world.store, "read", damaged)
    told: list[Event] = []
    with pytest.raises(ModelError, match="damaged"):
        told.extend(workflow.bring_back(world))
    assert world.shares == {1: 100}
    assert Progress("runtime", "away was not brought back: its record is damaged") in told


def test_of_several_all_are_named(world: SimulatedTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.store, "services", lambda: ("one", "two"))

    def damaged(service: str) -> object:
        raise ModelError(f"{service} is damaged")

    monkeypatch.setattr(world.store, "read", damaged)
    with pytest.raises(LlmopsError, match="2 services were not brought back: one, two") as failed:
        run(workflow.bring_back(world))
    assert failed.value.exit_code == 5
