"""How often a key asks, and how much a service gives: a token bucket and a sliding sum. Pure."""

from __future__ import annotations

from collections import deque

ROUNDING = 1e-6
"""Of a request: who has waited exactly as told is not sent away for a rounding error."""


class Buckets:
    """A token bucket per name: `per_minute` on average, and as many at once."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, per_minute: int, now: float) -> float:
        """Take one; returns 0, or the seconds until there is one to take."""
        left, since = self._left.get(name, (float(per_minute), now))
        # A clock that was set back refills nothing, and takes nothing either.
        left = min(float(per_minute), left + max(0.0, now - since) * per_minute / 60)
        if left < 1 - ROUNDING:
            self._left[name] = (left, now)
            return (1 - left) * 60 / per_minute
        self._left[name] = (max(0.0, left - 1), now)
        return 0.0

    def keep(self, names: set[str]) -> None:
        """Forget the names that are gone."""
        self._left = {name: left for name, left in self._left.items() if name in names}


class Sliding:
    """A sum over the last minute."""

    WINDOW = 60.0

    def __init__(self) -> None:
        self._events: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, amount: int, now: float) -> None:
        """Count `amount` at `now` (seconds)."""
        self._events.append((now, amount))
        self._sum += amount
        self.total(now)

    def total(self, now: float) -> int:
        """What was counted in the minute before `now`."""
        while self._events and self._events[0][0] < now - self.WINDOW:
            self._sum -= self._events.popleft()[1]
        return self._sum
