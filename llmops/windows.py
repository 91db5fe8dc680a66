"""Weekly windows of time in a zone: `Sun 02:00-04:00 Europe/Berlin`.

A window speaks of clocks on walls, and those are set forward and back. The one rule for that: on
each of its days it opens once, when the clock there first shows its beginning or later, and closes
when the clock first shows its end or later. So an hour that is skipped takes its window with it, a
window that holds such an hour is shorter by it, and an hour that comes twice opens nothing twice.
A zone that is not known is refused, and so is one that means something else on each machine.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic.json_schema import JsonSchemaValue

from llmops.texts import Text

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = "Sun 02:00-04:00 Europe/Berlin"

_DAY_MINUTES = 24 * 60
_AHEAD = 23
"""Days that are looked at for an opening: a weekly one may be lost twice to skipped hours."""

_SHAPE = re.compile(
    r"(?P<days>[A-Za-z,-]{3,40})[ ]+(?P<start>[0-9]{2}:[0-9]{2})-(?P<end>[0-9]{2}:[0-9]{2})"
    r"(?:[ ]+(?P<zone>[A-Za-z0-9_+/-]{1,64}))?",
    flags=re.ASCII,
)
_JSON_PATTERN = r"^[A-Za-z,-]+ +[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}( +[A-Za-z0-9_+/-]+)?$"


@dataclass(frozen=True, slots=True)
class Window(Text):
    """Days of the week and a stretch of the day, which may go on past midnight."""

    days: tuple[int, ...]
    """Days that it opens on, Monday is 0; in order, each once."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after the midnight that the day begins with; more than a day where it crosses the
    next midnight."""
    zone: str
    """Name of an IANA time zone."""

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read days, times and a zone: `Mon-Fri 22:00-06:00 UTC`; no zone is UTC.

        Raises:
            ValueError: When it is none, its times are one and the same, or its zone is unknown.
        """
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            raise ValueError(_expected(text))
        start, end = _minutes(match["start"], text), _minutes(match["end"], text)
        if start in (_DAY_MINUTES, end):
            raise ValueError(
                f"expected a beginning before 24:00 and another end, found '{_shown(text)}'"
                " (the whole day is '00:00-24:00')"
            )
        end += _DAY_MINUTES if end < start else 0
        return cls(_days(match["days"], text), start, end, zone_name(match["zone"] or "UTC"))

    def __str__(self) -> str:
        return f"{_days_text(self.days)} {_clock(self.start)}-{_clock(self.end)} {self.zone}"

    def contains(self, moment: float) -> bool:
        """Whether it is open at `moment`, in Unix seconds."""
        return any(start <= moment < end for start, end in self._spans(moment, -1, 1))

    def next_start(self, now: float) -> float:
        """The first opening after `now`; both in Unix seconds."""
        return next(start for start, _ in self._spans(now, -1, _AHEAD) if start > now)

    def _spans(self, around: float, first: int, last: int) -> Iterator[tuple[float, float]]:
        """Openings on the days from `first` to `last` after that of `around`, in order."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(around, zone).date()
        for ahead in range(first, last + 1):
            day = today + timedelta(days=ahead)
            if day.weekday() in self.days:
                start, end = clock_shows(day, self.start, zone), clock_shows(day, self.end, zone)
                if start < end:
                    yield start, end

    @classmethod
    def _validate(cls, value: Any) -> Window:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(_expected(value))

    @classmethod
    def _json_schema(cls) -> JsonSchemaValue:
        return {"type": "string", "pattern": _JSON_PATTERN, "examples": [EXAMPLE]}


def zone_name(name: str) -> str:
    """`name`, when it is a time zone that means the same on every machine.

    Raises:
        ValueError: When it is not; with the nearest ones.
    """
    if name in _zones():
        return name
    forms = {zone.lower(): zone for zone in sorted(_zones())}
    forms |= {zone.lower().rpartition("/")[2]: zone for zone in sorted(_zones())}
    close = difflib.get_close_matches(name.lower().replace(" ", "_"), forms, n=3, cutoff=0.7)
    near = list(dict.fromkeys(forms[form] for form in close)) or ["UTC", "Europe/Berlin"]
    raise ValueError(f"expected an IANA time zone such as {', '.join(near)}, found '{name}'")


def clock_shows(day: date, minutes: int, zone: ZoneInfo) -> float:
    """When a clock in `zone` first shows `minutes` after the midnight that begins `day`, or more.

    Unix seconds. A time that is skipped is passed at the moment of the skip.
    """
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    moment = _utc(wall, zone)
    if _wall(moment, zone) == wall:  # of a time that comes twice, Python takes the first
        return float(moment)
    # In a gap, one reading of it lies before the skip and the other at or after it (PEP 495).
    before, after = sorted((moment, _utc(wall.replace(fold=1), zone)))
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _wall(middle, zone) < wall else (before, middle)
    return float(after)


def _utc(wall: datetime, zone: ZoneInfo) -> int:
    return int(wall.replace(tzinfo=zone).timestamp())


def _wall(moment: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).replace(tzinfo=None, fold=0)


@cache
def _zones() -> frozenset[str]:
    # These two are whatever a machine was set to, and no place at all.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _minutes(clock: str, text: str) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if minutes > 59 or hours * 60 + minutes > _DAY_MINUTES:
        raise ValueError(f"expected times from 00:00 to 24:00, found '{_shown(text)}'")
    return hours * 60 + minutes


def _clock(minutes: int) -> str:
    past = minutes - _DAY_MINUTES if minutes > _DAY_MINUTES else minutes
    return f"{past // 60:02}:{past % 60:02}"


def _days(names: str, text: str) -> tuple[int, ...]:
    if names.lower() == "daily":
        return tuple(range(7))
    found: set[int] = set()
    for part in names.split(","):
        first, dash, last = part.partition("-")
        low = _day(first, text)
        high = _day(last, text) if dash else low
        found.update(day % 7 for day in range(low, high + 1 + (7 if high < low else 0)))
    return tuple(sorted(found))


def _day(name: str, text: str) -> int:
    try:
        return DAYS.index(name.capitalize())
    except ValueError:
        raise ValueError(_expected(text)) from None


def _days_text(days: tuple[int, ...]) -> str:
    if len(days) == len(DAYS):
        return "daily"
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(_run_text(run) for run in runs)


def _run_text(run: list[int]) -> str:
    if len(run) > 2:
        return f"{DAYS[run[0]]}-{DAYS[run[-1]]}"
    return ",".join(DAYS[day] for day in run)


def _expected(found: object) -> str:
    return f"expected days, times and a zone, such as '{EXAMPLE}', found '{_shown(found)}'"


def _shown(found: object) -> str:
    text = str(found)
    return text if len(text) <= 60 else f"{text[:59]}…"


__all__ = ["DAYS", "EXAMPLE", "Window", "clock_shows", "zone_name"]
