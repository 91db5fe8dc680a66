"""What one account has used and has set aside, and what it may not take by its bounds. Pure.

Where a day or a month is limited, what is put on record runs ahead of what is used: nothing is
taken that the record does not have yet. So a count that is read back after a crash is never below
what was used, and above it by at most one part in `AHEAD` of the limit and what was in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.gateway.limiter.bucket import Bucket
from serving.gateway.limiter.period import Period, day_ends, day_of, month_ends, month_of
from serving.gateway.limiter.values import PICO, Bounds, Left, Reason, Standing, Tokens

PLACE_AGAIN = 1.0
"""Seconds after which a request without a place may ask again: nobody knows when one ends."""
HOUR = 3600.0
QUIET = 10.0
"""Seconds without a request after which the record of an account is what it has used, exactly."""
USED = ("requests", "tokens", "day", "month")
"""What of an account outlives a book."""
PERIODS = ("day", "month")
"""Those of them that are put on record ahead."""


@dataclass(slots=True)
class Account:
    """The counts of one account."""

    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    day: Period = field(default_factory=Period)
    month: Period = field(default_factory=Period)
    open: int = 0
    """Requests in flight."""
    asked: float = 0.0
    """When tokens were last set aside."""

    def turn(self, now: float) -> None:
        """Begin the day and the month that it is."""
        self.day.turn(day_of(now))
        self.month.turn(month_of(now))

    def bound(self, bounds: Bounds) -> None:
        """Limit the day and the month so from now on; what was used stays used."""
        monthly = bounds.usd_per_month
        self.day.limit = bounds.tokens_per_day
        self.month.limit = None if monthly is None else round(monthly * PICO)

    def idle(self, now: float) -> bool:
        """Whether a new account would be the same, for all that a bucket may still owe."""
        asked = max(self.requests.since, self.tokens.since)
        over = self.month.number < month_of(now) or not (self.month.used or self.day.used)
        return not self.open and over and now - asked > HOUR

    def set_aside(self, tokens: Tokens, bounds: Bounds) -> None:
        """Set tokens, and what they cost, aside in the day and the month."""
        self.day.set_aside(self.day.number, tokens.total)
        self.month.set_aside(self.month.number, bounds.cost(tokens))

    def dump(self) -> dict[str, list[float]]:
        """What was used."""
        return {name: getattr(self, name).dump() for name in USED}

    def merge(self, used: Mapping[str, list[float]]) -> None:
        """Count what was used elsewhere."""
        for name in USED:
            getattr(self, name).merge(*used[name])

    def ahead(self, now: float) -> dict[str, list[float]]:
        """What to put on record; from now on no more is covered than that and the last one have."""
        busy = now - self.asked < QUIET
        return self.dump() | {name: getattr(self, name).ahead(busy=busy) for name in PERIODS}

    def recorded(self, record: Mapping[str, list[float]]) -> None:
        """That a record is kept, which `ahead` gave or which was read."""
        for name in PERIODS:
            getattr(self, name).record(*record[name])

    def covered(self) -> bool:
        """Whether all that may be used by now is on record."""
        return self.day.covered() and self.month.covered()


def overfull(account: Account, bounds: Bounds, now: float) -> tuple[Reason, float] | None:
    """Why one more request may not begin."""
    places, rate = bounds.concurrent_requests, bounds.requests_per_minute
    if rate is not None and (wait := account.requests.wait(1, rate, now)):
        return "requests_per_minute", wait
    if places is not None and account.open >= places:
        return "concurrent_requests", PLACE_AGAIN
    return None


def overdrawn(
    account: Account, bounds: Bounds, most: Tokens, now: float
) -> tuple[Reason, float | None] | None:
    """Why a request may not take so many tokens; `bounds` are those that the account has."""
    rate, cost = bounds.tokens_per_minute, bounds.cost(most)
    if rate is not None and (wait := account.tokens.wait(most.total, rate, now)) != 0:
        return "tokens_per_minute", wait
    if not account.day.fits(most.total):
        return "tokens_per_day", account.day.wait(most.total, day_ends(now))
    if not account.month.fits(cost):
        return "usd_per_month", account.month.wait(cost, month_ends(now))
    return None


def standing_of(account: Account, bounds: Bounds, now: float) -> Standing:
    """How an account stands with its limits for a minute."""
    return Standing(
        _left(account.requests, bounds.requests_per_minute, now),
        _left(account.tokens, bounds.tokens_per_minute, now),
    )


def _left(bucket: Bucket, per_minute: int | None, now: float) -> Left | None:
    return None if per_minute is None else Left(per_minute, *bucket.left(per_minute, now))
