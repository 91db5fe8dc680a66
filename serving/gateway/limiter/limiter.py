"""Who keeps the accounts, as the gateway sees it: in its own process, or one for all gateways.

A limiter that cannot be asked lets nobody in. The other way round, whoever makes it unreachable
(or waits until it is) would be free of every limit; and it is away only while its process is made
anew, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from serving.gateway.limiter.book import Book
from serving.gateway.limiter.values import Ask, Denied, Standing, Tokens


class LimiterGone(Exception):
    """Whoever keeps the accounts cannot be asked now."""


class Limiter(Protocol):
    """Counts what keys use, and says what they may not."""

    async def admit(self, ask: Ask) -> Standing | Denied:
        """Let a request in: it counts as one, and has a place until `settle`.

        Raises:
            LimiterGone: When nobody can say; the request must not begin.
        """
        ...

    async def reserve(self, ask: Ask, most: Tokens) -> Standing | Denied:
        """Set aside the most tokens that a request can take, before it begins to.

        Raises:
            LimiterGone: When nobody can say; the request must not begin.
        """
        ...

    def settle(self, ask: Ask, used: Tokens | None) -> None:
        """End a request that was let in. Waits for nobody, so that it cannot be cancelled.

        Args:
            ask: The request.
            used: What the engine counted; None where that is not known: what was set aside stands.
        """
        ...


class LocalLimiter:
    """The accounts of a runtime with one gateway, in that gateway.

    Args:
        book: The accounts.
        clock: Gives Unix seconds.
    """

    def __init__(self, book: Book, clock: Callable[[], float]) -> None:
        self.book = book
        self._clock = clock

    async def admit(self, ask: Ask) -> Standing | Denied:
        """See `Limiter`."""
        return self.book.admit(ask, self._clock())

    async def reserve(self, ask: Ask, most: Tokens) -> Standing | Denied:
        """See `Limiter`."""
        return self.book.reserve(ask, most, self._clock())

    def settle(self, ask: Ask, used: Tokens | None) -> None:
        """See `Limiter`."""
        self.book.settle(ask, used, self._clock())
