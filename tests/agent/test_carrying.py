"""Orders carried out by agents that die: at every write of the store, at every change of the
machine, and with commands that change their mind."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.agent.blobs import StoreUnreachable
from serving.agent.machine.carrying import Stopped
from tests.agent.worlds import World
from tests.releases.plans import make_deployment
from tests.releases.simulated import Fate, Killed

FIRST, SECOND = "one rolling", "two rolling"


def served(source: str = "one") -> World:
    """A world in which a first release serves."""
    world = World()
    outcome = world.work(world.want(make_deployment(source)))
    assert outcome.fault is None, outcome
    assert world.settled()
    return world


def writes_of(world: World) -> int:
    """Writes that an update in this world takes."""
    before = world.blobs.writes
    world.work(world.want(make_deployment("two")))
    return world.blobs.writes - before


def test_an_order_is_carried_out_and_told() -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    outcome = world.work(ref)
    assert (outcome.release, outcome.changed, outcome.fault) == (2, True, None)
    assert (world.live, world.settled()) == (SECOND, True)
    told = [event for _, piece in world.orders.events(ref, 0) for event in piece]
    assert {"kind": "begun", "text": "verify release 2"} in told


def test_the_same_order_again_changes_nothing() -> None:
    world = served()
    outcome = world.work(world.want(make_deployment("one")))
    assert (outcome.release, outcome.changed) == (1, False)


WRITES = writes_of(served())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_an_agent_killed_at_any_write_is_continued_by_the_next(write: int, after: bool) -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    world.blobs.kill, world.blobs.after = world.blobs.writes + write, after
    outcome = world.work(ref)
    assert (outcome.release, outcome.changed, outcome.fault) == (2, True, None)
    assert (world.live, world.settled()) == (SECOND, True)
    assert world.orders.pending() == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_a_rollback_killed_at_any_write_is_not_rolled_back(write: int, after: bool) -> None:
    world = served()
    world.work(world.want(make_deployment("two")))
    ref = world.order("rollback", release=1)
    world.blobs.kill, world.blobs.after = world.blobs.writes + write, after
    outcome = world.work(ref)
    assert outcome.fault is None, outcome
    assert (world.live, world.settled()) == (FIRST, True)
    assert [release.rollback_of for release in world.history.releases] == [None, None, 1]


@settings(max_examples=120)
@given(
    kills=st.lists(st.integers(1, 40), max_size=6),
    writes=st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=3),
    wanted=st.lists(st.sampled_from(["one", "two", "three", "bad-start"]), min_size=1, max_size=3),
)
def test_agents_that_die_anywhere_end_where_one_that_lives_does(
    kills: list[int], writes: list[tuple[int, bool]], wanted: list[str]
) -> None:
    killed, lived = served("zero"), served("zero")
    for source in wanted:
        ref = killed.want(make_deployment(source))
        for kill in kills:
            killed.machine.fates[killed.machine.instants + kill] = Fate.KILL
        if writes:
            write, killed.blobs.after = writes.pop()
            killed.blobs.kill = killed.blobs.writes + write
        end, other = killed.work(ref), lived.work(lived.want(make_deployment(source)))
        killed.machine.fates.clear()
        killed.blobs.kill = 0
        assert (end.fault is None, end.changed) == (other.fault is None, other.changed)
        assert (killed.live, killed.settled()) == (lived.live, True)


def test_a_failed_release_is_told_with_its_cause_and_leaves_the_last_good_one() -> None:
    world = served()
    outcome = world.work(world.want(make_deployment("bad-start")))
    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.fault.serving) == ("TargetError", True)
    assert "bad weights" in outcome.fault.message
    assert (world.live, world.settled()) == (FIRST, True)


def test_a_plan_whose_facts_have_changed_is_refused() -> None:
    world = served()
    outcome = world.work(world.want(make_deployment("two"), facts="those of yesterday"))
    assert outcome.fault is not None
    assert "has changed since it was shown" in outcome.fault.message
    assert (world.live, len(world.history.releases)) == (FIRST, 1)


def test_nobody_compares_facts_where_nobody_looked_at_them() -> None:
    world = served()
    outcome = world.work(world.want(make_deployment("two"), facts=""))
    assert (outcome.fault, outcome.release) == (None, 2)


def test_an_agent_that_is_told_to_end_leaves_the_order_to_the_next() -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    world.stopping = True
    with pytest.raises(Stopped):
        world.agent().carry_out(ref)
    assert world.orders.outcome(ref) is None
    assert world.machine.held == "", "the lock is free for the next agent"
    world.stopping = False
    assert world.work(ref).release == 2
    assert world.settled()


def test_an_order_that_is_taken_back_leaves_what_served() -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    world.orders.cancel(ref, "anna@laptop", world.machine.now)
    outcome = world.work(ref)
    assert outcome.interrupted
    assert (world.live, world.settled()) == (FIRST, True)


@pytest.mark.parametrize("instant", range(1, 9))
def test_an_order_taken_back_after_its_agent_died_leaves_what_served(instant: int) -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    world.machine.fates[world.machine.instants + instant] = Fate.KILL
    with contextlib.suppress(Killed):
        world.agent().carry_out(ref)
    world.orders.cancel(ref, "anna@laptop", world.machine.now)
    world.work(ref)
    assert world.staging() == 0
    assert world.settled()


def test_destroy_takes_all_of_it_away() -> None:
    world = served()
    world.machine.gap_allowed = True
    outcome = world.work(world.order("destroy"))
    assert (outcome.release, outcome.changed, outcome.fault) == (None, True, None)
    assert world.settled()


def test_an_unexpected_error_ends_the_order_and_names_no_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = served()

    def fails(*_: object, **__: object) -> None:
        raise ValueError("canary-of-a-value")

    monkeypatch.setattr(world.machine, "resolve", fails)
    outcome = world.work(world.want(make_deployment("two")))
    assert outcome.fault is not None
    assert "unexpected ValueError" in outcome.fault.message
    assert "canary" not in outcome.fault.message


def test_a_store_that_is_away_for_a_while_costs_no_release() -> None:
    world = served()
    ref = world.want(make_deployment("two"))
    world.blobs.away = frozenset(range(world.blobs.writes + 4, world.blobs.writes + 9))
    for _ in range(10):
        with contextlib.suppress(StoreUnreachable):
            world.agent().carry_out(ref)
    outcome = world.orders.outcome(ref)
    assert outcome is not None
    assert (outcome.release, outcome.fault, world.settled()) == (2, None, True)
