"""How much a service gives: a sum over the last minute. Pure."""

from __future__ import annotations

from collections import deque


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
