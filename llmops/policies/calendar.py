"""When a service may be changed: the windows, days and freezes of every policy that applies.

Each policy's own hold by themselves, and so does the service's own window: it must be open in all
of them at once. Pure, over the moment that it is asked about. It decides no severity and knows no
deployment; whoever asks says what to do while it is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from llmops.policies.model import Policy
from llmops.windows import DAYS, Window, clock_shows

HORIZON = 400 * 86_400.0
"""Seconds that are looked ahead for an opening: what is closed for longer is closed for good."""

WINDOW = "maintenance.window"
FREEZE = "maintenance.freeze"
TIMELY = frozenset({WINDOW, FREEZE})
"""Findings that pass by themselves: they say when something may be done, and not whether."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing may be changed now, and from when on it may."""

    rule: str
    """`maintenance.window` or `maintenance.freeze`."""
    reason: str
    opens_at: float | None
    """Unix seconds; None when that is more than a year ahead."""
    opens: str
    """The same for a person, in the zone of what closes it; empty when it is not known."""
    policy: str
    """Name of the policy that closes it; empty for the service's own window."""


@dataclass(frozen=True, slots=True)
class _Shut:
    """Whole days that are closed, from the first moment of one to that of another."""

    since: float
    until: float
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Times:
    """The windows and closed days of one policy, or of the service itself."""

    policy: str
    zone: str
    windows: tuple[Window, ...] | None
    shut: tuple[_Shut, ...] = ()

    def closed(self, now: float) -> tuple[str, str, float | None] | None:
        """Rule, reason, and the earliest moment at which this alone may be over."""
        for days in self.shut:
            if days.since <= now < days.until:
                return days.rule, days.reason, days.until
        if self.windows is None or any(window.contains(now) for window in self.windows):
            return None
        next_one = min((window.next_start(now) for window in self.windows), default=None)
        return WINDOW, self._outside(), next_one

    def _outside(self) -> str:
        whose = f"of policy {self.policy}" if self.policy else "of the service"
        stated = "; ".join(str(window) for window in self.windows or ()) or "none is given"
        return f"outside the maintenance windows {whose} ({stated})"


@dataclass(frozen=True, slots=True)
class Calendar:
    """When changes are allowed. One without anything in it is always open."""

    times: tuple[_Times, ...] = ()

    def closed(self, now: float) -> Closed | None:
        """Why nothing may be changed at `now` (Unix seconds); None while it may."""
        for times in self.times:
            found = times.closed(now)
            if found is not None:
                rule, reason, _ = found
                opens_at = self._opening(now)
                opens = "" if opens_at is None else at(opens_at, times.zone)
                return Closed(rule, reason, opens_at, opens, times.policy)
        return None

    def _opening(self, now: float) -> float | None:
        """The first moment from `now` on at which everything is open."""
        moment: float | None = now
        while moment is not None and moment < now + HORIZON:
            following = self._may_open(moment)
            if following == moment:
                return moment
            moment = following
        return None

    def _may_open(self, moment: float) -> float | None:
        """`moment`, or the next one before which it cannot be open; None when none comes."""
        for times in self.times:
            if found := times.closed(moment):
                return found[2]
        return moment


def calendar_of(policies: Iterable[Policy], own: Window | None) -> Calendar:
    """The calendar of a service: of the policies that apply to it, and of its own window."""
    times = [*map(_of_policy, policies)]
    if own is not None:
        times.append(_Times("", own.zone, (own,)))
    return Calendar(tuple(one for one in times if one.windows is not None or one.shut))


def at(moment: float, zone: str) -> str:
    """A moment as a person in `zone` reads it: `Sun 2026-11-29 02:00 Europe/Berlin`."""
    local = datetime.fromtimestamp(moment, ZoneInfo(zone))
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {zone}"


def _of_policy(policy: Policy) -> _Times:
    maintenance = policy.maintenance
    windows = maintenance.windows
    zone = windows[0].zone if windows else maintenance.zone
    return _Times(policy.name, zone, windows, tuple(_shut(policy)))


def _shut(policy: Policy) -> Iterator[_Shut]:
    maintenance = policy.maintenance
    zone = ZoneInfo(maintenance.zone)
    for freeze in maintenance.freezes:
        reason = f"frozen by policy {policy.name} to the end of {freeze.last}: {freeze.reason}"
        yield _days(freeze.first, freeze.last, zone, FREEZE, reason)
    for day in maintenance.except_days:
        reason = f"policy {policy.name} opens no window on {day}"
        yield _days(day, day, zone, WINDOW, reason)


def _days(first: date, last: date, zone: ZoneInfo, rule: str, reason: str) -> _Shut:
    end = clock_shows(last + timedelta(days=1), 0, zone)
    return _Shut(clock_shows(first, 0, zone), end, rule, reason)


__all__ = ["FREEZE", "WINDOW", "Calendar", "Closed", "at", "calendar_of"]
