"""A limiter whose counts outlive it: no request begins before the most that it can take is on disk.

One write covers all requests that wait for it, and while a key is asking, some of its limit beyond
them (`AHEAD`), so that most of its requests wait for none. What is left of that is given back when
the key is quiet. Where nothing can be written, what the disk does not cover is refused: otherwise
whoever fills the disk, and has the gateway killed, would be free of its limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from serving.gateway.limiter.book import Book
from serving.gateway.limiter.limiter import LimiterGone, LocalLimiter
from serving.gateway.limiter.saved import Saved
from serving.gateway.limiter.values import Ask, Denied, Standing, Tokens

log = logging.getLogger("llmops.limits")

EVERY = 1.0
"""Seconds between two records when nobody waits for one; and after one that failed."""
PATIENCE = 5.0
"""Seconds that a request waits for a record, which takes some milliseconds."""


class RecordedLimiter(LocalLimiter):
    """The accounts of a runtime with one gateway, in that gateway and on record. See `Limiter`.

    Args:
        book: The accounts.
        record: Their file, which is open.
        clock: Gives Unix seconds.
    """

    def __init__(self, book: Book, record: Saved, clock: Callable[[], float]) -> None:
        super().__init__(book, clock)
        self._record = record
        self._asked = asyncio.Event()
        self._written = asyncio.Event()

    async def reserve(self, ask: Ask, most: Tokens) -> Standing | Denied:
        """See `Limiter`."""
        answer = await super().reserve(ask, most)
        if isinstance(answer, Standing):
            await self._covered(ask.account)
        return answer

    async def _covered(self, account: str) -> None:
        """Wait until all that the account may have used by now is on record.

        Raises:
            LimiterGone: When nothing is written.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while not self.book.covered(account):
                    self._asked.set()
                    await self._written.wait()
        except TimeoutError as error:
            raise LimiterGone("the counts cannot be written") from error

    async def keep(self) -> None:
        """Write what is asked for, and what has changed, for as long as this is not cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), EVERY)
            if not await self.write():
                await asyncio.sleep(EVERY)

    async def write(self) -> bool:
        """Put the accounts on record as they are now; whether that could be done."""
        written, self._written = self._written, asyncio.Event()
        self._asked.clear()
        record = self.book.ahead(self._clock())
        try:
            await asyncio.to_thread(self._record.write, record)
        except OSError as error:  # such as a full disk: what is covered goes on
            log.warning("what keys have used was not written: %s", error.strerror)
            return False
        finally:
            written.set()
        self.book.recorded(record)
        return True
