"""Windows of time: read, printed, refused, and open when the clocks of their zone say so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from llmops.windows import DAYS, Window, clock_shows, zone_name

QUICK = settings(deadline=None, database=None)
HOUR = 3600.0

CALM = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "Etc/GMT+12")
"""Zones whose clocks are not set forward or back in the years below."""

SET = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "America/Santiago",  # at midnight
    "Pacific/Apia",  # a whole day, at the end of 2011
    "Africa/Casablanca",
)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@st.composite
def windows(draw: st.DrawFn, zones: tuple[str, ...] = CALM + SET) -> Window:
    days = tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1))))
    start = draw(st.integers(0, 1439))
    length = draw(st.integers(1, 1439) | st.sampled_from([15, 60, 120]))
    return Window(days, start, start + length, draw(st.sampled_from(zones)))


moments = st.integers(int(utc("2011-06-01")), int(utc("2029-01-01"))).map(float)


@QUICK
@given(windows())
def test_a_printed_window_reads_back(window: Window) -> None:
    assert Window.parse(str(window)) == window


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Sun 02:00-04:00", "Sun 02:00-04:00 UTC"),
        ("  sun   02:00-04:00   Europe/Berlin ", "Sun 02:00-04:00 Europe/Berlin"),
        ("Sun,Sat 22:00-06:00 UTC", "Sat,Sun 22:00-06:00 UTC"),
        ("Mon,Tue,Wed 00:00-24:00 UTC", "Mon-Wed 00:00-24:00 UTC"),
        ("Fri-Mon 01:00-02:00 UTC", "Mon,Fri-Sun 01:00-02:00 UTC"),
        ("Mon-Fri,Fri 01:00-02:00 UTC", "Mon-Fri 01:00-02:00 UTC"),
        ("Mon-Sun 01:00-02:00 UTC", "daily 01:00-02:00 UTC"),
        ("Tue-Mon 01:00-02:00 UTC", "daily 01:00-02:00 UTC"),
        ("Sat 22:00-00:00 UTC", "Sat 22:00-24:00 UTC"),
        ("daily 12:00-11:59 UTC", "daily 12:00-11:59 UTC"),
    ],
)
def test_a_window_is_printed_in_one_way(text: str, printed: str) -> None:
    assert str(Window.parse(text)) == printed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "such as 'Sun 02:00-04:00 Europe/Berlin'"),
        ("Sun", "expected days, times and a zone"),
        ("02:00-04:00", "expected days, times and a zone"),
        ("Sunday 02:00-04:00 UTC", "expected days, times and a zone"),
        ("Sun- 02:00-04:00 UTC", "expected days, times and a zone"),
        ("Sun,,Mon 02:00-04:00 UTC", "expected days, times and a zone"),
        ("Sun 2:00-4:00 UTC", "expected days, times and a zone"),
        ("Sun 02:00-04:00 UTC and more", "expected days, times and a zone"),
        ("Sun 02:60-04:00 UTC", "from 00:00 to 24:00"),
        ("Sun 02:00-24:01 UTC", "from 00:00 to 24:00"),
        ("Sun 02:00-02:00 UTC", "the whole day is '00:00-24:00'"),
        ("Sun 24:00-04:00 UTC", "a beginning before 24:00"),
        ("Sun 02:00-04:00 Europe/Berlim", "such as Europe/Berlin"),
        ("Sun 02:00-04:00 europe/berlin", "such as Europe/Berlin"),
        ("Sun 02:00-04:00 berlin", "Europe/Berlin"),
        ("Sun 02:00-04:00 localtime", "expected an IANA time zone"),
        ("Sun 02:00-04:00 right/UTC", "expected an IANA time zone"),
        ("Sun 02:00-04:00 ../UTC", "expected days, times and a zone"),
        ("Sun 02:00-04:00 Europe", "expected an IANA time zone"),
        ("x" * 5000, "…"),
    ],
)
def test_what_is_no_window_is_refused_with_what_one_looks_like(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        Window.parse(text)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 250


class Holder(BaseModel):
    window: Window


@pytest.mark.parametrize("value", [3, 2.5, None, True, ["Sun 02:00-04:00"], {"days": "Sun"}])
def test_only_a_text_is_a_window(value: object) -> None:
    with pytest.raises(ValidationError, match="expected days, times and a zone"):
        Holder.model_validate({"window": value})


def test_a_window_is_a_text_in_json_and_in_the_schema() -> None:
    held = Holder.model_validate({"window": "Sun 02:00-04:00"})
    assert held.model_dump(mode="json") == {"window": "Sun 02:00-04:00 UTC"}
    assert Holder.model_json_schema()["properties"]["window"]["type"] == "string"


# What a clock on the wall there shows, minute by minute: slow, and plain.


def opened(window: Window, around: float) -> list[bool]:
    """For each minute of twelve days around a moment, whether the window is open, by its rule."""
    zone = ZoneInfo(window.zone)
    first = around - 6 * 24 * HOUR
    minutes = [first + 60 * n for n in range(12 * 24 * 60)]
    walls = [datetime.fromtimestamp(m, zone).replace(tzinfo=None) for m in minutes]
    open_at = [False] * len(minutes)
    for day in {wall.date() + timedelta(days=n) for wall in walls for n in (-1, 0)}:
        if day.weekday() in window.days:
            begin = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall's
            since = _first(walls, begin + timedelta(minutes=window.start))
            until = _first(walls, begin + timedelta(minutes=window.end))
            open_at[since:until] = [True] * (until - since)
    return open_at


def _first(walls: list[datetime], wanted: datetime) -> int:
    return next((n for n, wall in enumerate(walls) if wall >= wanted), len(walls))


@settings(QUICK, max_examples=15)
@given(windows(SET), st.sampled_from(["2011-12-30", "2026-03-29", "2026-10-25", "2026-04-05",
                                      "2026-09-06", "2026-03-08", "2026-11-01"]))  # fmt: skip
def test_a_window_is_open_as_the_clocks_of_its_zone_say(window: Window, day: str) -> None:
    around = utc(day)
    first = around - 6 * 24 * HOUR
    told = opened(window, around)
    ours = [window.contains(first + 60 * n) for n in range(len(told))]
    # What opened before the first minute that the plain way looks at is not known to it.
    assert ours[1500:] == told[1500:]


@QUICK
@given(windows(), moments)
def test_the_next_opening_is_open_and_what_lies_before_it_is_not(
    window: Window, now: float
) -> None:
    start, end = window.next_start(now), next_end(window, now)
    assert start > now
    assert end > now
    assert window.contains(start)
    assert window.contains(now) == (end <= start)


@QUICK
@given(windows(), moments)
def test_a_window_is_open_from_its_opening_to_its_closing_and_closed_around(
    window: Window, now: float
) -> None:
    start = window.next_start(now)
    end = next_end(window, start)
    assert start < end
    for part in (0.0, 0.3, 0.999):
        assert window.contains(start + part * (end - start))
    following = window.next_start(start)
    assert following >= end
    for part in (0.0, 0.3, 0.999):
        if following > end:
            assert not window.contains(end + part * (following - end))


@QUICK
@given(windows(CALM), moments)
def test_every_week_has_the_stated_hours(window: Window, now: float) -> None:
    assert open_seconds(window, now, now + 7 * 24 * HOUR) == pytest.approx(
        len(window.days) * (window.end - window.start) * 60
    )


def next_end(window: Window, now: float) -> float:
    """The first closing after a moment, of this opening or of the next."""
    return next(end for _, end in window._spans(now, -1, 23) if end > now)


def open_seconds(window: Window, first: float, last: float) -> float:
    """For how long a window is open between two moments."""
    total, at = 0.0, first
    while at < last:
        if not window.contains(at):
            at = window.next_start(at)
            continue
        end = min(next_end(window, at), last)
        total, at = total + end - at, end
    return total


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        # Clocks in Berlin go from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
        ("Sun 01:00-02:00 Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00"),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-04-05T00:00", "2026-04-05T01:00"),
        ("Sun 02:15-02:45 Europe/Berlin", "2026-04-05T00:15", "2026-04-05T00:45"),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-03-29T01:00", "2026-03-29T02:00"),
        ("Sun 01:00-02:30 Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00"),
        ("Sun 00:00-24:00 Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-03-28T21:00", "2026-03-29T02:00"),
    ],
)
def test_a_skipped_hour_takes_its_window_with_it(text: str, start: str, end: str) -> None:
    window, now = Window.parse(text), utc("2026-03-28T12:00")
    assert window.next_start(now) == utc(start)
    assert next_end(window, now) == utc(end)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        # Clocks in Berlin go from 03:00 back to 02:00 on 25 October 2026, at 01:00 UTC.
        ("Sun 02:15-02:45 Europe/Berlin", "2026-10-25T00:15", "2026-10-25T00:45"),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:00", "2026-10-25T02:00"),
        ("Sun 01:00-02:30 Europe/Berlin", "2026-10-24T23:00", "2026-10-25T00:30"),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-10-25T00:30", "2026-10-25T03:00"),
        ("Sun 00:00-24:00 Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-10-24T20:00", "2026-10-25T03:00"),
    ],
)
def test_an_hour_that_comes_twice_opens_nothing_twice(text: str, start: str, end: str) -> None:
    window, now = Window.parse(text), utc("2026-10-24T12:00")
    assert window.next_start(now) == utc(start)
    assert next_end(window, now) == utc(end)
    assert window.next_start(utc(start)) > utc("2026-10-30T00:00")


def test_a_day_that_a_zone_left_out_has_no_window() -> None:
    # Samoa went from Thursday 29 to Saturday 31 December 2011.
    window = Window.parse("Fri 09:00-17:00 Pacific/Apia")
    now = utc("2011-12-29T12:00")
    assert datetime.fromtimestamp(window.next_start(now), ZoneInfo("Pacific/Apia")).date() == (
        date(2012, 1, 6)
    )


def test_midnight_is_where_the_next_day_begins() -> None:
    zone = ZoneInfo("America/Santiago")  # clocks there went from 00:00 to 01:00 on 2026-09-06
    assert clock_shows(date(2026, 9, 6), 0, zone) == utc("2026-09-06T04:00")
    assert clock_shows(date(2026, 9, 5), 1440, zone) == utc("2026-09-06T04:00")


def test_a_known_zone_keeps_its_name() -> None:
    assert zone_name("Europe/Berlin") == "Europe/Berlin"
    assert DAYS[date(2026, 11, 29).weekday()] == "Sun"
