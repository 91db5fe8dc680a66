"""A new release has the replicas of the one before it until it has taken over the traffic."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from serving.runtime.handover import PATIENCE, Handover

NOW = 1_700_000_000.0
SETTLE = 30.0


def least(handover: Handover, running: int, now: float = NOW) -> int:
    return handover.least(running, now, SETTLE)


def test_nothing_is_taken_over_before_anybody_has_told_so() -> None:
    assert least(Handover(), 0) == 0
    assert least(Handover().told([], 0, NOW), 0) == 0
    assert least(Handover().told([None, None], 2, NOW), 2) == 0


def test_the_highest_number_of_all_gateways_counts() -> None:
    assert least(Handover().told([2, 3, 2], 0, NOW), 0) == 3


def test_it_is_over_only_when_every_gateway_has_moved() -> None:
    moving = Handover().told([3], 3, NOW).told([None, 3], 3, NOW + 1)
    assert moving.over_at is None
    assert moving.told([None, None], 3, NOW + 2).over_at == NOW + 2


def test_after_it_is_over_nothing_begins_again() -> None:
    over = Handover().told([3], 3, NOW).told([None], 3, NOW + 1)
    later = over.told([5], 3, NOW + 2)
    assert later == over
    assert least(later, 3, NOW + 1 + SETTLE) == 0


def test_replicas_that_do_not_come_are_not_waited_for_without_end() -> None:
    short = Handover().told([3], 0, NOW)
    for second in range(0, int(PATIENCE) + 1, 60):
        short = short.told([3], 1, NOW + second)
    assert least(short, 1, NOW + PATIENCE) == 3
    assert least(short, 1, NOW + PATIENCE + 1) == 1
    assert least(short, 0, NOW + PATIENCE + 1) == 3, "none at all is for the deadline to judge"


def test_patience_begins_anew_once_as_many_have_come() -> None:
    whole = Handover().told([3], 0, NOW).told([3], 3, NOW + 200)
    grown = whole.told([4], 3, NOW + 250)
    assert least(grown, 3, NOW + 250 + PATIENCE) == 4


@given(
    st.lists(
        st.tuples(
            st.lists(st.none() | st.integers(0, 9), max_size=3),
            st.integers(0, 9),
            st.integers(1, 400),
        ),
        max_size=20,
    )
)
def test_it_is_kept_as_json_and_never_asks_for_more_than_was_told(
    course: list[tuple[list[int | None], int, int]],
) -> None:
    handover, now, most = Handover(), NOW, 0
    for follows, running, seconds in course:
        now += seconds
        handover = handover.told(follows, running, now)
        most = max([most, *(one for one in follows if one is not None)])
        assert Handover.of(json.loads(json.dumps(handover.document()))) == handover
        assert least(handover, running, now) <= max(1, most)
