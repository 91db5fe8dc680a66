"""A token bucket, kept as what is missing from a full one. Pure; times in seconds.

Kept so, a limit may be changed at any time: what was used stays used.
"""

from __future__ import annotations

from dataclasses import dataclass

ROUNDING = 1e-6
"""Of a token: who has waited exactly as told is not sent away for a rounding error."""


@dataclass(slots=True)
class Bucket:
    """`per_minute` on average, and as many at once."""

    missing: float = 0.0
    since: float = 0.0

    def wait(self, amount: int, per_minute: int, now: float) -> float | None:
        """Seconds until `amount` can be taken, 0 when it can be now, None when it never can."""
        self._refill(per_minute, now)
        if amount > per_minute:
            return None
        lacking = self.missing + amount - per_minute
        return lacking * 60 / per_minute if lacking > ROUNDING else 0.0

    def take(self, amount: int, per_minute: int, now: float) -> None:
        """Take so many, more than there are if need be; of a negative number, give them back."""
        self._refill(per_minute, now)
        self.missing = max(0.0, self.missing + amount)

    def left(self, per_minute: int, now: float) -> tuple[int, float]:
        """How many can be taken now, and the seconds until the bucket is full."""
        self._refill(per_minute, now)
        return max(0, int(per_minute - self.missing + ROUNDING)), self.missing * 60 / per_minute

    def dump(self) -> list[float]:
        """The bucket as plain numbers, for `merge`."""
        return [self.missing, self.since]

    def merge(self, missing: float, since: float) -> None:
        """Be as empty as another was, if that was asked later."""
        if since > self.since:
            self.missing, self.since = max(0.0, float(missing)), float(since)

    def _refill(self, per_minute: int, now: float) -> None:
        # A clock that was set back refills nothing, and takes nothing either.
        passed = max(0.0, now - self.since)
        self.missing = max(0.0, self.missing - passed * per_minute / 60)
        self.since = now
