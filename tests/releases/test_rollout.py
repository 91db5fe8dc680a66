"""What to do next, by value: one case per branch of the reconciler."""

from __future__ import annotations

import pytest

from llmops.releases import (
    Blocked,
    Desired,
    Done,
    Drain,
    Observed,
    Phase,
    Release,
    Remove,
    Seen,
    Shift,
    Stage,
    State,
    Step,
    Verify,
    Watch,
    next_step,
)
from tests.releases.plans import DRAIN, observed, release, seen

NOW = 5000.0
STAGING, LIVE, RETIRED, FAILED = State.STAGING, State.LIVE, State.RETIRED, State.FAILED

OLD = (release(1, LIVE), seen(1, share=100))
NEW = release(2, STAGING)
NEW_LIVE = (release(2, LIVE), seen(2, share=100))
NEW_FAILED = release(2, FAILED, reason="out of memory")


def busy(ended_at: float, share: int = 0) -> tuple[Release, Seen]:
    return release(1, RETIRED, ended_at=ended_at), seen(1, share=share, in_flight=3)


ROLLING = {
    "the first release is started": (observed((NEW, None)), Stage(2)),
    "one that starts is waited for": (observed((NEW, seen(2, Phase.STARTING))), Stage(2)),
    "one that failed to start is asked for its cause": (
        observed((NEW, seen(2, Phase.FAILED))),
        Stage(2),
    ),
    "one that is up must prove itself": (observed((NEW, seen(2))), Verify(2)),
    "a new one is started beside the old one": (observed(OLD, (NEW, None)), Stage(2)),
    "a new one proves itself beside the old one": (observed(OLD, (NEW, seen(2))), Verify(2)),
    "a proven one gets the traffic": (
        observed(
            (release(1, RETIRED, ended_at=NOW), seen(1, share=100)), (release(2, LIVE), seen(2))
        ),
        Shift(2),
    ),
    "half the traffic is not all of it": (
        observed((release(2, LIVE), seen(2, share=50))),
        Shift(2),
    ),
    "the old one drains": (
        observed(busy(NOW - 10), NEW_LIVE),
        Drain(1, NOW - 10 + DRAIN),
    ),
    "an idle old one is removed": (
        observed((release(1, RETIRED, ended_at=NOW), seen(1)), NEW_LIVE),
        Remove(1),
    ),
    "a drain has an end": (observed(busy(NOW - DRAIN), NEW_LIVE), Remove(1)),
    "a clock that was set back does not lengthen a drain": (
        observed(busy(NOW + 3600), NEW_LIVE),
        Drain(1, NOW + DRAIN),
    ),
    "what serves alone is done": (observed((release(1, RETIRED), None), NEW_LIVE), Done()),
    "a live one that is gone is started again": (observed((release(2, LIVE), None)), Stage(2)),
    "a live one whose engine died is started again": (
        observed((release(2, LIVE), seen(2, Phase.FAILED, share=100))),
        Stage(2),
    ),
    "a live one is brought back before the next is started": (
        observed((release(1, LIVE), None), (NEW, seen(2))),
        Stage(1),
    ),
    "a live one that lost the traffic gets it back first": (
        observed((release(1, LIVE), seen(1)), (NEW, seen(2))),
        Shift(1),
    ),
    "a leftover without a record is removed": (observed((None, seen(9)), NEW_LIVE), Remove(9)),
    "nobody waits for a leftover without a record": (
        observed((None, seen(9, in_flight=4)), NEW_LIVE),
        Remove(9),
    ),
    "what a killed run left makes room before the next is started": (
        observed(OLD, (NEW_FAILED, seen(2)), (release(3, STAGING), None)),
        Remove(2),
    ),
    "what still drains may go on while the next is started": (
        observed(busy(NOW - 10), NEW_LIVE, (release(3, STAGING), None)),
        Stage(3),
    ),
    "what has drained long enough makes room": (
        observed(busy(NOW - DRAIN), NEW_LIVE, (release(3, STAGING), None)),
        Remove(1),
    ),
    "a failed one is removed": (observed(OLD, (NEW_FAILED, seen(2, Phase.FAILED))), Remove(2)),
    "after a failure the last good one serves": (
        observed(OLD, (NEW_FAILED, None)),
        Blocked("out of memory", 1),
    ),
    "after a failure the last good one gets the traffic back": (
        observed((release(1, LIVE), seen(1)), (NEW_FAILED, None)),
        Shift(1),
    ),
    "after the first failure nothing serves": (
        observed((NEW_FAILED, None)),
        Blocked("out of memory", None),
    ),
    "the first failure is cleared away": (observed((NEW_FAILED, seen(2))), Remove(2)),
    "another writer's release is left alone": (
        observed((release(2, RETIRED), None), (release(3, LIVE), seen(3, share=100))),
        Blocked("release 2 was replaced by release 3", 3),
    ),
    "a release that another writer ended is not revived": (
        observed((release(2, RETIRED), None)),
        Blocked("release 2 was replaced by nothing: it was ended", None),
    ),
    "a number that was never recorded": (observed(OLD), Blocked("there is no release 2", 1)),
}  # fmt: skip

RECREATE = {
    "the old one drains first": (
        observed((release(1, LIVE), seen(1, share=100, in_flight=1)), (NEW, None)),
        Drain(1, NOW + DRAIN),
    ),
    "its time runs on": (
        observed((release(1, LIVE, ended_at=NOW - 40), seen(1, in_flight=1)), (NEW, None)),
        Drain(1, NOW - 40 + DRAIN),
    ),
    "the old one goes before the new one starts": (observed(OLD, (NEW, None)), Remove(1)),
    "then the new one starts": (observed((release(1, LIVE), None), (NEW, None)), Stage(2)),
    "and proves itself": (observed((release(1, LIVE), None), (NEW, seen(2))), Verify(2)),
    "a failed one makes room": (
        observed((release(1, LIVE), None), (NEW_FAILED, seen(2))),
        Remove(2),
    ),
    "the last good one is started again": (
        observed((release(1, LIVE), None), (NEW_FAILED, None)),
        Stage(1),
    ),
}

WATCHED = release(2, STAGING, watched_since=NOW - 40)
WATCHED_WORSE = release(2, FAILED, watched_since=NOW - 40, ended_at=NOW - 10, reason="slower")
SHARED = (release(1, LIVE), seen(1, share=90))

CANARY = {
    "the first release of all has nothing to be watched beside": (
        observed((NEW, seen(2))),
        Verify(2),
    ),
    "a new one is started beside the old one": (observed(OLD, (NEW, None)), Stage(2)),
    "a new one proves itself before it gets any traffic": (
        observed(OLD, (NEW, seen(2))),
        Verify(2, watched=True),
    ),
    "a proven one gets some of the traffic": (
        observed(OLD, (WATCHED, seen(2))),
        Shift(2, 10, 1),
    ),
    "another share is not the one that was wanted": (
        observed((release(1, LIVE), seen(1, share=80)), (WATCHED, seen(2, share=20))),
        Shift(2, 10, 1),
    ),
    "a share that some gateways have taken over is not there yet": (
        observed(OLD, (WATCHED, seen(2, share=10))),
        Shift(2, 10, 1),
    ),
    "then it is watched to the end of its time": (
        observed(SHARED, (WATCHED, seen(2, share=10))),
        Watch(2, 1, 10, NOW - 40, NOW - 40 + 60),
    ),
    "what a killed run began is watched from when it began": (
        observed(
            SHARED, (release(2, STAGING, watched_since=NOW - 400), seen(2, share=10))
        ),
        Watch(2, 1, 10, NOW - 400, NOW - 400 + 60),
    ),
    "a clock that was set back does not lengthen a watch": (
        observed(
            SHARED, (release(2, STAGING, watched_since=NOW + 400), seen(2, share=10))
        ),
        Watch(2, 1, 10, NOW, NOW + 60),
    ),
    "leftovers go before it is watched": (
        observed(SHARED, (WATCHED, seen(2, share=10)), (None, seen(9))),
        Remove(9),
    ),
    "one that ended while it was watched gets no more": (
        observed(SHARED, (WATCHED, seen(2, Phase.FAILED, share=10))),
        Shift(1),
    ),
    "then it is started anew": (observed(OLD, (WATCHED, seen(2, Phase.FAILED))), Stage(2)),
    "the old one is brought back first": (
        observed((release(1, LIVE), seen(1, Phase.FAILED, share=90)), (WATCHED, seen(2, share=10))),
        Stage(1),
    ),
    "one that was not worse gets all traffic": (
        observed(
            (release(1, RETIRED, ended_at=NOW), seen(1, share=90)),
            (release(2, LIVE), seen(2, share=10)),
        ),
        Shift(2),
    ),
    "after that the old one drains": (
        observed(busy(NOW - 10), NEW_LIVE),
        Drain(1, NOW - 10 + DRAIN),
    ),
    "one that is worse gets no more": (
        observed(SHARED, (WATCHED_WORSE, seen(2, share=10, in_flight=2))),
        Shift(1),
    ),
    "it may finish what it has begun": (
        observed(OLD, (WATCHED_WORSE, seen(2, in_flight=2))),
        Drain(2, NOW - 10 + DRAIN),
    ),
    "then it goes": (observed(OLD, (WATCHED_WORSE, seen(2))), Remove(2)),
    "and the old one serves": (observed(OLD, (WATCHED_WORSE, None)), Blocked("slower", 1)),
}  # fmt: skip

DESTROY = {
    "what is idle goes": (observed((release(1, RETIRED, ended_at=NOW), seen(1))), Remove(1)),
    "what is busy drains": (observed(busy(NOW, share=100)), Drain(1, NOW + DRAIN)),
    "what never served goes at once": (
        observed((NEW_FAILED, seen(2, Phase.STARTING, in_flight=1))),
        Remove(2),
    ),
    "leftovers go": (observed((None, seen(9, in_flight=1))), Remove(9)),
    "then it is done": (observed((release(1, RETIRED), None)), Done()),
}


def check(situation: Observed, desired: Desired, expected: Step) -> None:
    assert next_step(situation, desired, NOW) == expected


@pytest.mark.parametrize(("situation", "expected"), ROLLING.values(), ids=ROLLING.keys())
def test_rolling(situation: Observed, expected: Step) -> None:
    third = situation.history.find(3)
    wanted = 3 if third is not None and third.state is STAGING else 2
    check(situation, Desired(wanted, "rolling", DRAIN), expected)


@pytest.mark.parametrize(("situation", "expected"), RECREATE.values(), ids=RECREATE.keys())
def test_recreate(situation: Observed, expected: Step) -> None:
    check(situation, Desired(2, "recreate", DRAIN), expected)


@pytest.mark.parametrize(("situation", "expected"), CANARY.values(), ids=CANARY.keys())
def test_canary(situation: Observed, expected: Step) -> None:
    check(situation, Desired(2, "canary", DRAIN, shares=(10,), watch_seconds=60), expected)


def test_without_the_old_one_a_watched_release_proves_itself_once_more() -> None:
    situation = observed((release(1, LIVE), None), (WATCHED, seen(2, share=10)))
    lost = Desired(2, "canary", DRAIN, given_up=frozenset({1}))
    check(situation, lost, Verify(2))


def test_a_release_that_is_worse_goes_even_where_the_old_one_is_lost() -> None:
    lost = Desired(2, "canary", DRAIN, given_up=frozenset({1}))
    check(observed((release(1, LIVE), None), (WATCHED_WORSE, seen(2, share=10))), lost, Remove(2))
    gone = observed((release(1, LIVE), None), (WATCHED_WORSE, None))
    check(gone, lost, Blocked("slower", None))


def test_a_watch_that_nobody_wants_any_more_gives_the_traffic_back() -> None:
    situation = observed(SHARED, (WATCHED, seen(2, share=10)))
    check(situation, Desired(2, "rolling", DRAIN), Shift(1))
    check(situation, Desired(1, "canary", DRAIN), Shift(1))


@pytest.mark.parametrize(("situation", "expected"), DESTROY.values(), ids=DESTROY.keys())
def test_destroy(situation: Observed, expected: Step) -> None:
    check(situation, Desired(None, drain_seconds=DRAIN), expected)


def test_a_live_release_that_will_not_start_does_not_stand_in_the_way_of_the_next() -> None:
    situation = observed((release(1, LIVE), None), (NEW, None))
    lost = Desired(2, "rolling", DRAIN, given_up=frozenset({1}))
    check(situation, lost, Stage(2))


def test_a_live_release_that_will_not_start_is_not_tried_for_ever() -> None:
    lost = Desired(2, "rolling", DRAIN, given_up=frozenset({2}))
    check(
        observed((release(2, LIVE), None)),
        lost,
        Blocked("release 2 could not be brought back", None),
    )
    both = observed((release(1, LIVE), None), (NEW_FAILED, None))
    lost = Desired(2, "rolling", DRAIN, given_up=frozenset({1}))
    check(both, lost, Blocked("out of memory", None))


def test_a_dead_release_with_traffic_does_not_count_as_serving() -> None:
    situation = observed((release(1, LIVE), seen(1, Phase.FAILED, share=100)), (NEW_FAILED, None))
    lost = Desired(2, "rolling", DRAIN, given_up=frozenset({1}))
    check(situation, lost, Blocked("out of memory", None))
