"""When a service may be changed: windows, closed days and freezes of several policies at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.policies import Calendar, Policy, calendar_of
from llmops.windows import Window

SUNDAYS = "Sun 02:00-04:00 UTC"
NIGHTS = "daily 22:00-06:00 UTC"


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def policy(name: str = "acme", **maintenance: Any) -> Policy:
    document = {"kind": "Policy", "name": name, "maintenance": maintenance}
    return Policy.model_validate(document)


def calendar(*policies: Policy, own: str = "") -> Calendar:
    return calendar_of(policies, Window.parse(own) if own else None)


def test_without_windows_it_is_always_open() -> None:
    assert calendar().closed(0) is None
    assert calendar(policy()).closed(utc("2026-11-28T12:00")) is None


def test_outside_of_a_window_it_is_closed_until_the_next() -> None:
    closed = calendar(policy(windows=[SUNDAYS])).closed(utc("2026-11-28T12:00"))
    assert closed is not None
    assert (closed.rule, closed.policy) == ("maintenance.window", "acme")
    assert closed.reason == ("outside the maintenance windows of policy acme (Sun 02:00-04:00 UTC)")
    assert closed.opens_at == utc("2026-11-29T02:00")
    assert closed.opens == "Sun 2026-11-29 02:00 UTC"


def test_of_several_windows_of_one_policy_any_opens_it() -> None:
    several = calendar(policy(windows=[SUNDAYS, "Wed 02:00-04:00 UTC"]))
    assert several.closed(utc("2026-12-02T03:00")) is None
    closed = several.closed(utc("2026-11-30T03:00"))
    assert closed is not None
    assert closed.opens == "Wed 2026-12-02 02:00 UTC"


def test_it_must_be_open_in_every_policy_and_for_the_service_itself() -> None:
    both = calendar(policy("a", windows=[NIGHTS]), policy("b", windows=["Sat,Sun 00:00-24:00"]))
    assert both.closed(utc("2026-11-28T23:00")) is None
    assert both.closed(utc("2026-11-27T23:30")) is not None, "a Friday"
    own = calendar(policy("a", windows=[NIGHTS]), own="Sun 05:00-09:00 UTC")
    closed = own.closed(utc("2026-11-28T23:00"))
    assert closed is not None
    assert (closed.policy, closed.opens) == ("", "Sun 2026-11-29 05:00 UTC")
    assert own.closed(utc("2026-11-29T05:30")) is None
    assert own.closed(utc("2026-11-29T06:30")) is not None


def test_windows_that_never_meet_never_open() -> None:
    never = calendar(policy("a", windows=["Mon 01:00-02:00"]), policy("b", windows=[SUNDAYS]))
    closed = never.closed(utc("2026-11-28T12:00"))
    assert closed is not None
    assert (closed.opens_at, closed.opens) == (None, "")


def test_the_next_opening_is_told_in_the_zone_of_what_closes() -> None:
    closed = calendar(policy(windows=["Sun 02:00-04:00 Europe/Berlin"])).closed(
        utc("2026-11-28T12:00")
    )
    assert closed is not None
    assert closed.opens == "Sun 2026-11-29 02:00 Europe/Berlin"


def test_on_an_excepted_day_no_window_is_open() -> None:
    held = calendar(policy(windows=[SUNDAYS], except_days=["2026-11-29"], zone="Europe/Berlin"))
    closed = held.closed(utc("2026-11-29T03:00"))
    assert closed is not None
    assert closed.rule == "maintenance.window"
    assert closed.reason == "policy acme opens no window on 2026-11-29"
    assert closed.opens_at == utc("2026-12-06T02:00")


def test_a_freeze_closes_whole_days_of_its_zone() -> None:
    freeze = {"first": "2026-12-20", "last": "2027-01-03", "reason": "end of the year"}
    frozen = calendar(policy(freezes=[freeze], zone="Europe/Berlin"))
    assert frozen.closed(utc("2026-12-19T22:59")) is None
    closed = frozen.closed(utc("2026-12-19T23:00"))
    assert closed is not None
    assert closed.rule == "maintenance.freeze"
    assert closed.reason == "frozen by policy acme to the end of 2027-01-03: end of the year"
    assert closed.opens_at == utc("2027-01-03T23:00")
    assert frozen.closed(utc("2027-01-03T23:00")) is None


def test_after_a_freeze_the_next_window_is_the_opening() -> None:
    freeze = {"first": "2026-11-20", "last": "2026-11-30", "reason": "sale"}
    closed = calendar(policy("a", freezes=[freeze]), policy("b", windows=[SUNDAYS])).closed(
        utc("2026-11-28T12:00")
    )
    assert closed is not None
    assert (closed.policy, closed.opens) == ("a", "Sun 2026-12-06 02:00 UTC")


TEXTS = (SUNDAYS, NIGHTS, "Mon-Fri 08:00-17:00 Europe/Berlin", "Sat,Sun 00:00-24:00 Asia/Kolkata")
DAYS = st.dates(datetime(2026, 3, 20).date(), datetime(2026, 4, 10).date())  # noqa: DTZ001 - days


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    windows = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2))
    freezes = [
        {"first": min(ends), "last": max(ends), "reason": "x"}
        for ends in draw(st.lists(st.tuples(DAYS, DAYS), max_size=1))
    ]
    held = policy(windows=windows, except_days=draw(st.lists(DAYS, max_size=2)))
    again = policy(freezes=freezes, zone="Europe/Berlin")
    return held if draw(st.booleans()) else again


moments = st.integers(int(utc("2026-03-20")), int(utc("2026-04-10"))).map(float)


@settings(deadline=None, database=None)
@given(st.lists(policies(), max_size=3), moments, st.floats(0, 0.999))
def test_it_opens_when_it_says_and_not_before(
    several: list[Policy], now: float, part: float
) -> None:
    held = calendar(*several)
    closed = held.closed(now)
    if closed is not None and closed.opens_at is not None:
        assert closed.opens_at > now
        assert held.closed(closed.opens_at) is None
        assert held.closed(now + part * (closed.opens_at - now)) is not None


@settings(deadline=None, database=None)
@given(st.lists(policies(), max_size=3), policies(), moments)
def test_one_more_policy_never_opens_anything(
    several: list[Policy], more: Policy, now: float
) -> None:
    if calendar(*several).closed(now) is not None:
        assert calendar(*several, more).closed(now) is not None


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("UTC", "2026-11-29T00:00"),
        ("Pacific/Kiritimati", "2026-11-28T10:00"),
        ("Etc/GMT+12", "2026-11-29T12:00"),
    ],
)
def test_a_day_is_that_of_the_policys_zone(zone: str, first: str) -> None:
    held = calendar(
        policy(windows=["daily 00:00-24:00 UTC"], except_days=["2026-11-29"], zone=zone)
    )
    assert held.closed(utc(first) - 1) is None
    assert held.closed(utc(first)) is not None
    assert held.closed(utc(first) + 86_399) is not None
    assert held.closed(utc(first) + 86_400) is None
