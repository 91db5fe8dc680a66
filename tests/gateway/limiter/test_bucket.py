"""A token bucket, kept as what is missing."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.limiter.bucket import Bucket

times = st.lists(st.floats(-100, 4000, allow_nan=False), min_size=1, max_size=80)


def take(bucket: Bucket, amount: int, per_minute: int, now: float) -> float | None:
    """Take, if that may be now; the seconds to wait."""
    wait = bucket.wait(amount, per_minute, now)
    if wait == 0:
        bucket.take(amount, per_minute, now)
    return wait


@given(times, st.integers(1, 100))
def test_no_window_ever_sees_more_than_the_rate_and_one_burst(
    waits: list[float], per_minute: int
) -> None:
    bucket, now, granted = Bucket(), 0.0, []
    for wait in waits:
        now += max(0.0, wait / 50)
        if not take(bucket, 1, per_minute, now):
            granted.append(now)
    for i, start in enumerate(granted):
        for j in range(i, len(granted)):
            allowed = per_minute + (granted[j] - start) * per_minute / 60
            assert j - i + 1 <= allowed + 1e-4, f"{j - i + 1} in {granted[j] - start} s"


@given(times, st.integers(1, 100), st.data())
def test_who_waits_as_told_is_served(
    waits: list[float], per_minute: int, data: st.DataObject
) -> None:
    bucket, now = Bucket(), 0.0
    for wait in waits:
        now += max(0.0, wait / 1000)
        amount = data.draw(st.integers(1, per_minute))
        if told := take(bucket, amount, per_minute, now):
            now += math.ceil(told)
            assert take(bucket, amount, per_minute, now) == 0


@given(st.lists(st.floats(0, 10), max_size=40), st.floats(0, 1e6))
def test_a_clock_that_is_set_back_locks_nobody_out(waits: list[float], back: float) -> None:
    bucket, now = Bucket(), 1e9
    for wait in waits:
        now += wait
        take(bucket, 1, 60, now)
    now -= back
    told = take(bucket, 1, 60, now)
    assert told is not None
    assert told <= 1
    assert told == 0 or take(bucket, 1, 60, now + 1) == 0


def test_more_than_the_limit_never_fits() -> None:
    assert Bucket().wait(61, 60, 0.0) is None
    assert Bucket().wait(60, 60, 0.0) == 0


def test_what_is_owed_is_paid_with_time_that_has_not_passed() -> None:
    bucket = Bucket()
    bucket.take(10, 60, 0.0)
    bucket.take(60, 60, 3600.0)  # an hour of nothing pays for no more than a full bucket
    assert bucket.left(60, 3600.0) == (0, 60.0)


def test_a_limit_that_is_lowered_forgets_nothing() -> None:
    bucket = Bucket()
    bucket.take(50, 100, 0.0)
    assert bucket.left(60, 0.0) == (10, 50.0)
    assert bucket.wait(20, 60, 0.0) == 10
    assert bucket.left(200, 0.0)[0] == 150


def test_what_is_given_back_never_overfills() -> None:
    bucket = Bucket()
    bucket.take(5, 60, 0.0)
    bucket.take(-50, 60, 0.0)
    assert bucket.left(60, 0.0) == (60, 0.0)
