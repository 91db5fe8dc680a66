"""The accounts of all keys: who may begin now, what is set aside, what was used. Pure.

A request is let in in two steps. `admit`, when its key is known: it counts as a request and takes
one of the key's places. `reserve`, when its body is known: the most tokens that it can take are set
aside in the minute, the day and the month. `settle` ends both: the engine's own count takes the
place of what was set aside. Because the most is set aside first, no limit can be passed by any
number of requests that run at once, in whatever order they begin and end.

What the engine counts beyond what was set aside (a chat template longer than the allowance for it)
is owed: it is taken from what comes next.

`now` is Unix seconds, and the caller's: nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.gateway.limiter.bucket import Bucket
from serving.gateway.limiter.period import Period, day_ends, day_of, month_ends, month_of
from serving.gateway.limiter.values import (
    PICO,
    Ask,
    Bounds,
    Denied,
    Left,
    Reason,
    Standing,
    Tokens,
)

PLACE_AGAIN = 1.0
"""Seconds after which a request without a place may ask again: nobody knows when one ends."""
HOUR = 3600.0
USED = ("requests", "tokens", "day", "month")
"""What of an account outlives a book."""


@dataclass(slots=True)
class _Account:
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    day: Period = field(default_factory=Period)
    month: Period = field(default_factory=Period)
    open: int = 0

    def idle(self, now: float) -> bool:
        """Whether a new account would be the same, for all that a bucket may still owe."""
        asked = max(self.requests.since, self.tokens.since)
        over = self.month.number < month_of(now) or not (self.month.used or self.day.used)
        return not self.open and over and now - asked > HOUR

    def dump(self) -> dict[str, list[float]]:
        """What was used."""
        return {name: getattr(self, name).dump() for name in USED}

    def merge(self, used: Mapping[str, list[float]]) -> None:
        """Count what was used elsewhere."""
        for name in USED:
            getattr(self, name).merge(*used[name])


@dataclass(slots=True)
class Open:
    """A request that was let in and has not ended, and what is set aside for it."""

    ask: Ask
    owner: str
    tokens: Tokens = field(default_factory=Tokens)
    day: int = 0
    month: int = 0


class Book:
    """The accounts, and what is in flight."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._open: dict[str, Open] = {}

    def admit(self, ask: Ask, now: float, owner: str = "") -> Standing | Denied:
        """Let a request in, unless its key asks too often or has too many in flight.

        Args:
            ask: The request.
            now: The time.
            owner: Who will say that it has ended.
        """
        account = self._account(ask.account, now)
        if ask.id in self._open:
            return _standing(account, ask.bounds, now)
        if wrong := _overfull(account, ask.bounds, now):
            return Denied(*wrong, _standing(account, ask.bounds, now))
        if ask.bounds.requests_per_minute is not None:
            account.requests.take(1, ask.bounds.requests_per_minute, now)
        self.adopt(Open(ask, owner), now)
        return _standing(account, ask.bounds, now)

    def reserve(self, ask: Ask, most: Tokens, now: float) -> Standing | Denied:
        """Set aside the most that a request that was let in can take.

        Raises:
            KeyError: When it was not let in, or has ended.
        """
        entry = self._open[ask.id]
        account = self._account(ask.account, now)
        if entry.tokens.total:
            return _standing(account, ask.bounds, now)
        if wrong := _overdrawn(account, ask.bounds, most, now):
            return Denied(*wrong, _standing(account, ask.bounds, now))
        if ask.bounds.tokens_per_minute is not None:
            account.tokens.take(most.total, ask.bounds.tokens_per_minute, now)
        entry.ask = ask
        self._set_aside(entry, most, account)
        return _standing(account, ask.bounds, now)

    def settle(self, ask: Ask, used: Tokens | None, now: float) -> None:
        """End a request: count what it has used, and give its place back.

        A request that is not in flight here any more is counted all the same.

        Args:
            ask: The request.
            used: The engine's count; None where nobody knows it: then what was set aside stands.
            now: The time.
        """
        account = self._account(ask.account, now)
        entry = self._open.pop(ask.id, None)
        if entry is None:
            entry = Open(ask, "")
        else:
            account.open -= 1
        aside = entry.tokens
        taken = aside if used is None else used
        if ask.bounds.tokens_per_minute is not None:
            account.tokens.take(taken.total - aside.total, ask.bounds.tokens_per_minute, now)
        day, month = entry.day or account.day.number, entry.month or account.month.number
        account.day.settle(day, aside.total, taken.total)
        account.month.settle(month, ask.bounds.cost(aside), ask.bounds.cost(taken))

    def adopt(self, entry: Open, now: float) -> None:
        """Take a request over that was let in before, by another book of the same accounts: what
        is set aside for it counts for the day and the month that it is now."""
        if entry.ask.id in self._open:
            return
        account = self._account(entry.ask.account, now)
        account.open += 1
        self._open[entry.ask.id] = Open(entry.ask, entry.owner)
        self._set_aside(self._open[entry.ask.id], entry.tokens, account)

    def drop(self, owner: str, now: float) -> None:
        """End all requests of an owner who is gone: what was set aside for them stands."""
        for entry in [entry for entry in self._open.values() if entry.owner == owner]:
            self.settle(entry.ask, None, now)

    def open(self, account: str) -> int:
        """Requests of an account that are in flight."""
        return self._accounts[account].open if account in self._accounts else 0

    def dump(self, now: float) -> dict[str, Any]:
        """What was used, for `merge`: plain data. What is set aside is not in it."""
        for name in [name for name, account in self._accounts.items() if account.idle(now)]:
            del self._accounts[name]
        return {name: account.dump() for name, account in self._accounts.items()}

    def merge(self, dumped: Mapping[str, Any], now: float) -> None:
        """Count what was used before, by another book of the same accounts: the larger stands.

        Raises:
            ValueError: When it is nothing that `dump` gave.
        """
        try:
            for name, used in dumped.items():
                self._account(name, now).merge(used)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("it holds no accounts") from error

    def _set_aside(self, entry: Open, most: Tokens, account: _Account) -> None:
        entry.tokens, entry.day, entry.month = most, account.day.number, account.month.number
        account.day.set_aside(entry.day, most.total)
        account.month.set_aside(entry.month, entry.ask.bounds.cost(most))

    def _account(self, name: str, now: float) -> _Account:
        account = self._accounts.setdefault(name, _Account())
        account.day.turn(day_of(now))
        account.month.turn(month_of(now))
        return account


def _overfull(account: _Account, bounds: Bounds, now: float) -> tuple[Reason, float] | None:
    """Why one more request may not begin."""
    places, rate = bounds.concurrent_requests, bounds.requests_per_minute
    if rate is not None and (wait := account.requests.wait(1, rate, now)):
        return "requests_per_minute", wait
    if places is not None and account.open >= places:
        return "concurrent_requests", PLACE_AGAIN
    return None


def _overdrawn(
    account: _Account, bounds: Bounds, most: Tokens, now: float
) -> tuple[Reason, float | None] | None:
    """Why a request may not take so many tokens."""
    rate, daily, monthly = bounds.tokens_per_minute, bounds.tokens_per_day, bounds.usd_per_month
    if rate is not None and (wait := account.tokens.wait(most.total, rate, now)) != 0:
        return "tokens_per_minute", wait
    if daily is not None and not account.day.fits(most.total, daily):
        return "tokens_per_day", account.day.wait(most.total, daily, day_ends(now))
    if monthly is None:
        return None
    cost, limit = bounds.cost(most), round(monthly * PICO)
    if not account.month.fits(cost, limit):
        return "usd_per_month", account.month.wait(cost, limit, month_ends(now))
    return None


def _standing(account: _Account, bounds: Bounds, now: float) -> Standing:
    return Standing(
        _left(account.requests, bounds.requests_per_minute, now),
        _left(account.tokens, bounds.tokens_per_minute, now),
    )


def _left(bucket: Bucket, per_minute: int | None, now: float) -> Left | None:
    return None if per_minute is None else Left(per_minute, *bucket.left(per_minute, now))
