"""How much a queue counts: enough to be answered soon, and not as if it would last."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmops.policies.scaling import Memory, Observation

KNOWN = Memory(at=0.0, short=5.0, stay=4.0)
"""Five requests a second that stay for four seconds: 20 at a time."""
FULL = Observation(now=1.0, running=1, in_flight=16.0)


def test_without_a_queue_everything_that_is_there_counts() -> None:
    assert KNOWN.room(FULL, 60.0) == 16.0


def test_a_queue_counts_as_what_it_takes_to_answer_it_in_a_quarter_of_a_start() -> None:
    # 30 that wait, 4 s each, within 15 s: 8 at a time, beside the 20 that the arrivals need.
    assert KNOWN.room(replace(FULL, waiting=30), 60.0) == 28.0


def test_where_replicas_start_at_once_a_queue_counts_in_full() -> None:
    assert KNOWN.room(replace(FULL, waiting=30), 1.0) == 46.0


def test_before_it_is_known_how_long_requests_stay_a_queue_counts_in_full() -> None:
    assert Memory().room(replace(FULL, waiting=30), 60.0) == 46.0


def test_without_a_replica_a_queue_counts_in_full() -> None:
    assert KNOWN.room(replace(FULL, running=0, in_flight=0.0, waiting=30), 60.0) == 30.0


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 200), st.floats(0, 300))
def test_a_longer_queue_never_counts_less(one: int, two: int, taken: float, lead: float) -> None:
    low, high = sorted((one, two))
    seen = replace(FULL, in_flight=taken)
    shorter = KNOWN.room(replace(seen, waiting=low), lead)
    longer = KNOWN.room(replace(seen, waiting=high), lead)
    assert 0 <= shorter <= longer <= taken + high
