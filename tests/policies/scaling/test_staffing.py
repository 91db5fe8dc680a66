"""How many replicas a load needs by what one takes: little room for many, much for few."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.policies.scaling.staffing import ROOM, SLOWER, offered, staffed

counts, capacities = st.integers(1, 60), st.integers(1, 500)


def test_a_full_replica_is_one_replica_of_work_and_an_idle_one_none() -> None:
    assert offered(16, 1, 16) == 1.0
    assert offered(0, 3, 16) == 0.0
    assert offered(40, 2, 16) == 2.0, "what waits is no work that they do"


def test_the_first_requests_of_a_batch_are_more_work_than_the_last() -> None:
    half = offered(8, 1, 16)
    assert half == pytest.approx(2 / 3)
    assert offered(16, 2, 16) == pytest.approx(2 * half)


def test_without_replicas_or_a_capacity_no_work_is_seen() -> None:
    assert offered(5, 0, 16) == 0.0
    assert offered(5, 1, 0) == 0.0


def test_no_work_needs_no_replica() -> None:
    assert staffed(0.0, 16) == 0


def test_full_replicas_need_another() -> None:
    assert staffed(1.0, 16) == 2
    assert staffed(3.0, 16) == 4


@given(st.floats(0, 50), st.floats(0, 50), capacities)
def test_more_work_never_needs_fewer(one: float, two: float, capacity: int) -> None:
    low, high = sorted((one, two))
    assert staffed(low, capacity) <= staffed(high, capacity)


@given(st.floats(0.001, 50), capacities)
def test_what_is_needed_has_room_and_one_fewer_has_not(work: float, capacity: int) -> None:
    def fits(replicas: int) -> bool:
        busy = work / replicas if replicas else math.inf
        if busy >= 1:
            return False
        requests = replicas * capacity * busy / (1 + SLOWER - SLOWER * busy)
        return requests + ROOM * math.sqrt(requests) <= replicas * capacity

    need = staffed(work, capacity)
    assert fits(need)
    assert not fits(need - 1)


@given(st.integers(1, 20), st.integers(8, 64), st.floats(0.1, 1.0))
def test_the_same_load_needs_as_many_whatever_runs_now(
    running: int, capacity: int, share: float
) -> None:
    work = offered(share * running * capacity, running, capacity)
    more = running + 3
    # The requests at a time that the same work is when it is spread over more replicas.
    busy = work / more
    fewer = more * capacity * busy / (1 + SLOWER - SLOWER * busy)
    assert offered(fewer, more, capacity) == pytest.approx(work)
    assert fewer <= share * running * capacity + 1e-9


def test_the_share_of_room_falls_with_the_number_of_replicas() -> None:
    spare = [staffed(work, 16) / work for work in (1.0, 10.0, 100.0)]
    assert spare[0] > spare[1] > spare[2]
