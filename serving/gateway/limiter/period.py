"""A sum over a day or a month of UTC, some of it set aside for what is in flight. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

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

    def turn(self, number: int) -> None:
        """Begin anew when the period is over. A clock that was set back ends none."""
        if number > self.number:
            self.number, self.used, self.reserved = number, 0, 0

    def fits(self, amount: int, limit: int) -> bool:
        """Whether `amount` more keeps to `limit`, even if all that is in flight takes its most."""
        return self.used + self.reserved + amount <= limit

    def wait(self, amount: int, limit: int, ends: float) -> float | None:
        """Seconds until what does not fit may: when the period ends, or sooner where only what is
        in flight stands against it; None when it alone is more than `limit`."""
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

    def dump(self) -> list[int]:
        """The period as plain numbers, for `merge`."""
        return [self.number, self.used]

    def merge(self, number: int, used: int) -> None:
        """Have used no less than was in another count of the same period."""
        self.turn(int(number))
        if number == self.number:
            self.used = max(self.used, int(used))
