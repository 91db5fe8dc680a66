"""A sum over a day or a month of UTC, some of it set aside for what is in flight. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

AHEAD = 64
"""The part of a limit that is put on record before it is used: one in so many. A larger part would
cost a key more when its gateway is killed, a smaller one has more requests wait for the disk."""
DAY = 86400
SOON = 1.0
"""Seconds after which to ask again where it only takes another request to end."""


def day_of(now: float) -> int:
    """The number of the day of UTC that a Unix time is in."""
    return int(now // DAY)


def month_of(now: float) -> int:
    """The number of the month of UTC that a Unix time is in."""
    date = datetime.fromtimestamp(now, UTC)
    return date.year * 12 + date.month - 1


def day_ends(now: float) -> float:
    """Seconds until the next day begins."""
    return (day_of(now) + 1) * DAY - now


def month_ends(now: float) -> float:
    """Seconds until the next month begins."""
    year, month = divmod(month_of(now) + 1, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp() - now


@dataclass(slots=True)
class Period:
    """What was used in the period of number `number`, and what may still be."""

    number: int = 0
    used: int = 0
    reserved: int = 0
    limit: int | None = None
    """The most that may be used; None where nothing limits it."""
    known: int = 0
    """How much is on record as used."""

    def turn(self, number: int) -> None:
        """Begin anew when the period is over. A clock that was set back ends none."""
        if number > self.number:
            self.number, self.used, self.reserved, self.known = number, 0, 0, 0

    def fits(self, amount: int) -> bool:
        """Whether `amount` more keeps to the limit, even if all in flight takes its most."""
        return self.limit is None or self.used + self.reserved + amount <= self.limit

    def wait(self, amount: int, ends: float) -> float | None:
        """Seconds until what does not fit may: when the period ends, or sooner where only what is
        in flight stands against it; None when it alone is more than the limit."""
        limit = self.limit or 0
        if amount > limit:
            return None
        return min(SOON, ends) if self.used + amount <= limit else ends

    def set_aside(self, number: int, amount: int) -> None:
        """Set `amount` aside in the period `number`."""
        if number == self.number:
            self.reserved += amount

    def settle(self, number: int, reserved: int, used: int) -> None:
        """Count what was used in place of what was set aside, both in the period `number`."""
        if number == self.number:
            self.reserved -= reserved
            self.used += used

    def covered(self) -> bool:
        """Whether all that may be used by now is on record, where it is limited."""
        return self.limit is None or self.used + self.reserved <= self.known

    def ahead(self, *, busy: bool) -> list[int]:
        """What to put on record: all that may be used by now; and while `busy`, what comes next,
        within the limit. From now on no more counts as known than both records have."""
        taken = self.used + self.reserved
        most = taken
        if busy and self.limit is not None:
            most = max(taken, min(self.limit, taken + self.limit // AHEAD))
        self.known = min(self.known, most)
        return [self.number, most]

    def record(self, number: int, most: int) -> None:
        """That so much is on record as used in the period `number`."""
        if number == self.number:
            self.known = int(most)

    def dump(self) -> list[int]:
        """The period as plain numbers, for `merge`."""
        return [self.number, self.used]

    def merge(self, number: int, used: int) -> None:
        """Have used no less than was in another count of the same period."""
        self.turn(int(number))
        if number == self.number:
            self.used = max(self.used, int(used))
