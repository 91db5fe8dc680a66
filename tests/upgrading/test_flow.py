"""An upgrade on the simulated target: nothing is lost wherever it is killed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops import workflow
from llmops.errors import InputError, RefusedError, TargetError
from llmops.events import Event, Flow, Progress, StepBegun
from llmops.policies import Holes
from llmops.spec import Deployment
from llmops.upgrading import Upgrade, Versions, compare, upgrade
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import Fate, SimulatedTarget, run, survive

HOLES = Holes.model_validate({"date": "2026-11-01", "holes": []})
OLD, NEW = Versions("1", "1", "vllm 0"), Versions("1", "2", "vllm 0")


class Machine(SimulatedTarget):
    """Simulated: its runtime remembers the version of Ray that it was started with."""

    ray = OLD.ray
    halts = 0

    def halt(self) -> Flow[None]:
        yield from ()
        self.instant()
        self.reboot()
        self.halts += 1
        self.ray = NEW.ray
        self.instant()

    def serves(self, service: str) -> bool:
        live = self.store.history.live
        return live is not None and self.shares.get(live.number) == 100

    def wanted(self, then: Versions = NEW, check: Any = lambda _: None) -> Upgrade:
        running = Versions("1", self.ray, "") if self.apps else None
        return compare(
            running, then, [self.store.history], serving=self.serves, check=check, holes=HOLES
        )


def planner(deployment: Deployment, facts: Any) -> Any:
    """As the real one: the engine that is installed, and what was asked for, are in the plan."""
    plan = plan_of(deployment, facts)
    engine = replace(plan.engine, version=facts.engine_version)
    asked = deployment.model_dump(mode="json", exclude_unset=True)
    identity = f"{plan.identity} {engine.version}"
    return replace(plan, engine=engine, asked=asked, identity=identity)


def deployed(source: str = "pkg://m/a") -> Machine:
    world = Machine(digests=iter(["vllm 0"] * 9))
    flow = workflow.deploy(world, make_deployment(source), planner=planner, clock=lambda: world.now)
    run(flow)
    return world


def deploy(operator: Any, deployment: Deployment, **how: Any) -> Any:
    return workflow.deploy(operator, deployment, planner=planner, **how)


def upgraded(world: Machine, wanted: Upgrade) -> Any:
    world.gap_allowed = True
    return upgrade(world, wanted, halt=world.halt, deploy=deploy, clock=lambda: world.now)


def steps(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, StepBegun)]


def test_a_restart_drains_ends_starts_and_has_every_service_answer() -> None:
    world = deployed()
    world.apps[1].in_flight = 1
    events, done = run(upgraded(world, world.wanted()))
    assert world.drains
    assert world.halts == 1
    assert steps(events) == ["stage release 1", "shift release 1"]
    assert "verify" in [event.phase for event in events if isinstance(event, Progress)]
    assert world.shares == {1: 100}
    assert done == ()  # its engine is the same: no new release
    assert world.wanted().nothing


@pytest.mark.parametrize("instant", range(1, 11))
@pytest.mark.parametrize("fate", [Fate.KILL, Fate.REBOOT])
def test_a_restart_that_was_killed_anywhere_is_finished_by_the_next(
    instant: int, fate: Fate
) -> None:
    world = deployed()
    world.fates = {world.instants + instant: fate}
    survive(upgraded(world, world.wanted()))
    world.fates.clear()
    run(upgraded(world, world.wanted()))
    if world.ray != NEW.ray:  # killed by a reboot: what starts then is what is installed
        assert fate is Fate.REBOOT
        world.ray = NEW.ray
    assert world.shares == {1: 100}
    assert world.wanted().nothing
    assert len(world.store.history.releases) == 1


def test_another_engine_is_a_release_beside_the_old_one_and_nothing_is_away() -> None:
    world = deployed()
    then = replace(OLD, engine="vllm 1")
    world.digests = iter(["vllm 1"] * 9)
    flow = upgrade(world, world.wanted(then), deploy=deploy, clock=lambda: world.now)
    events, [done] = run(flow)
    assert steps(events)[0] == "stage release 2"
    assert done.release is not None
    assert done.release.plan.engine.version == "vllm 1"
    assert done.release.plan.model.source.startswith("pkg://m/a")
    assert world.halts == 0


def test_what_else_changes_is_deployed_with_it() -> None:
    world = deployed()
    world.digests = iter(["vllm 1"] * 9)

    def change(asked: Deployment) -> Deployment:
        return asked.model_copy(update={"image": "registry.example/llm@sha256:0"})

    wanted = world.wanted(replace(OLD, engine="vllm 1"))
    _, [done] = run(upgrade(world, wanted, change=change, deploy=deploy, clock=lambda: world.now))
    assert done.release is not None
    assert done.release.plan.asked["image"] == "registry.example/llm@sha256:0"


def test_what_would_not_start_is_refused_before_anything_is_ended() -> None:
    world = deployed()

    def check(_: Any) -> None:
        raise InputError("the installed engine knows no argument 'gone'")

    before = world.changes
    with pytest.raises(RefusedError, match="knows no argument 'gone'"):
        run(upgraded(world, world.wanted(check=check)))
    assert (world.changes, world.halts) == (before, 0)


def test_a_restart_waits_for_no_window_but_is_refused_outside_of_it() -> None:
    world = deployed()
    text = (
        "apiVersion: llmops/v1\nkind: Policy\nname: house\n"
        "maintenance: {windows: [Sun 02:00-04:00 UTC]}\n"
    )
    world.policies.shelf = world.policies.shelf.applied("house", text, 1.0, "ada")
    world.now = 1_800_000_000.0  # a Friday
    with pytest.raises(RefusedError, match="nothing was changed"):
        run(upgraded(world, world.wanted()))
    assert world.halts == 0


def test_a_service_that_does_not_come_back_is_told() -> None:
    world = deployed()
    wanted = world.wanted()
    world.lost_models.add(world.store.history.releases[0].plan.model.source)
    with pytest.raises(TargetError, match="nothing serves"):
        run(upgraded(world, wanted))
    assert world.store.history.live is not None


def test_a_record_that_is_too_old_is_left_to_its_spec() -> None:
    world = deployed()
    history = world.store.history
    plan = replace(history.releases[0].plan, asked={})
    world.store.history = history.with_release(replace(history.releases[0], plan=plan))
    wanted = world.wanted(replace(OLD, engine="vllm 1"))
    events, done = run(upgrade(world, wanted, deploy=deploy, clock=lambda: world.now))
    assert done == ()
    assert any("deploy its spec" in str(event) for event in events)


def test_what_was_asked_for_can_be_planned_again() -> None:
    world = deployed()
    live = world.store.history.live
    assert live is not None
    assert Deployment.model_validate(live.plan.asked) == make_deployment("pkg://m/a")
    assert live.plan.service == SERVICE
