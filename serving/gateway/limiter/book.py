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

from serving.gateway.limiter.account import Account, overdrawn, overfull, standing_of
from serving.gateway.limiter.values import Ask, Denied, Standing, Tokens


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
        self._accounts: dict[str, Account] = {}
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
            return standing_of(account, ask.bounds, now)
        if wrong := overfull(account, ask.bounds, now):
            return Denied(*wrong, standing_of(account, ask.bounds, now))
        if ask.bounds.requests_per_minute is not None:
            account.requests.take(1, ask.bounds.requests_per_minute, now)
        self.adopt(Open(ask, owner), now)
        return standing_of(account, ask.bounds, now)

    def reserve(self, ask: Ask, most: Tokens, now: float) -> Standing | Denied:
        """Set aside the most that a request that was let in can take.

        Raises:
            KeyError: When it was not let in, or has ended.
        """
        entry = self._open[ask.id]
        account = self._account(ask.account, now)
        if entry.tokens.total:
            return standing_of(account, ask.bounds, now)
        account.bound(ask.bounds)
        if wrong := overdrawn(account, ask.bounds, most, now):
            return Denied(*wrong, standing_of(account, ask.bounds, now))
        if ask.bounds.tokens_per_minute is not None:
            account.tokens.take(most.total, ask.bounds.tokens_per_minute, now)
        entry.ask, account.asked = ask, now
        self._set_aside(entry, most, account)
        return standing_of(account, ask.bounds, now)

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
        self._forget(now)
        return {name: account.dump() for name, account in self._accounts.items()}

    def ahead(self, now: float) -> dict[str, Any]:
        """What to put on record, for `merge` after a crash: what was used, what is set aside, and
        where a key asks just now some of its limit more, so that not each request has to wait for
        the record. Until `recorded` is told of it, it covers nothing."""
        self._forget(now)
        return {name: account.ahead(now) for name, account in self._accounts.items()}

    def recorded(self, record: Mapping[str, Any]) -> None:
        """That what `ahead` gave, or what was merged, is on record."""
        for name, account in self._accounts.items():
            if name in record:
                account.recorded(record[name])

    def covered(self, account: str) -> bool:
        """Whether all that an account may have used by now is on record, where it is limited."""
        return account not in self._accounts or self._accounts[account].covered()

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

    def _forget(self, now: float) -> None:
        for name in [name for name, account in self._accounts.items() if account.idle(now)]:
            del self._accounts[name]

    def _set_aside(self, entry: Open, most: Tokens, account: Account) -> None:
        entry.tokens, entry.day, entry.month = most, account.day.number, account.month.number
        account.set_aside(most, entry.ask.bounds)

    def _account(self, name: str, now: float) -> Account:
        account = self._accounts.setdefault(name, Account())
        account.turn(now)
        return account
