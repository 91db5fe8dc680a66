"""With how many replicas a release begins: as many as the one before it runs when it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmops import workflow
from llmops.events import Flow
from llmops.planning import Facts, Plan
from llmops.releases import History, Phase, Release, State, dumps, loads, records
from llmops.spec import Deployment
from tests.releases.plans import SERVICE, make_deployment, make_plan, plan_of, release
from tests.releases.simulated import App, SimulatedTarget, run


def ranged(plan: Plan, low: int, high: int) -> Plan:
    return replace(plan, layout=replace(plan.layout, replicas_low=low, replicas_high=high))


def coming(low: int = 1, high: int = 4, state: State = State.STAGING) -> History:
    return History(SERVICE, (release(2, state, plan=ranged(make_plan("p2"), low, high)),))


@pytest.mark.parametrize(
    ("runs", "begins"), [(0, 0), (1, 0), (2, 2), (4, 4), (9, 4)], ids=lambda one: str(one)
)
def test_it_begins_with_as_many_as_its_own_bounds_allow(runs: int, begins: int) -> None:
    [edited] = records.begin_with(coming(), 2, runs).releases
    assert edited.begins == begins


def test_what_serves_or_has_failed_does_not_begin_any_more() -> None:
    for state in (State.LIVE, State.RETIRED, State.FAILED):
        assert records.begin_with(coming(state=state), 2, 3) == coming(state=state)


def test_a_number_that_is_fixed_stays_what_it_is() -> None:
    assert records.begin_with(coming(2, 2), 2, 4) == coming(2, 2)


def test_it_is_kept_in_the_record_and_an_older_record_has_none() -> None:
    history = records.begin_with(coming(), 2, 3)
    assert loads(dumps(history)) == history
    older = dumps(history).replace('"begins": 3', '"of_later": 3')
    assert loads(older).releases[0].begins == 0


class Growing(SimulatedTarget):
    """Notes with how many replicas each release is begun; the first grows to three."""

    def begin(self) -> dict[int, int]:
        self.begun: dict[int, int] = {}
        self.apps[1] = App(Phase.READY, replicas=3)
        return self.begun

    def stage(self, release: Release) -> Flow[None]:
        self.begun[release.number] = release.begins
        yield from super().stage(release)


def planner(deployment: Deployment, facts: Facts) -> Plan:
    return ranged(plan_of(deployment, facts), 1, 4)


def deployed(world: Growing, source: str, strategy: str = "rolling") -> None:
    made = make_deployment(source, strategy=strategy)
    run(workflow.deploy(world, made, planner=planner, clock=lambda: world.now, sleep=world.sleep))


@pytest.mark.parametrize("strategy", ["rolling", "canary", "recreate"])
def test_an_update_begins_with_the_number_that_runs_and_not_with_the_lowest(strategy: str) -> None:
    world = Growing(gap_allowed=strategy == "recreate")
    world.begun = {}
    deployed(world, "first", strategy)
    begun = world.begin()
    deployed(world, "second", strategy)
    assert begun == {2: 3}


def test_what_is_on_its_way_stays_as_it_began() -> None:
    world = Growing()
    world.begun = {}
    deployed(world, "first")
    world.begin()
    deployed(world, "second")
    number = world.store.writes
    world.apps[2] = App(Phase.READY, replicas=4)
    deployed(world, "second")
    assert (world.store.writes, world.begun) == (number, {2: 3}), (
        "an unchanged deploy writes nothing"
    )


def test_a_first_release_begins_with_its_lowest_number() -> None:
    world = Growing()
    world.begun = {}
    deployed(world, "first")
    assert world.begun == {1: 0}
