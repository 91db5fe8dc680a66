"""Whether a replica's engine still generates: the one thing that shows that it does.

An engine that is stopped or hangs answers pings: its process is there, and so is the flag that says
that it is well. So tokens are looked for: those of the requests that it answers, or, where none has
come for a while, one that is asked for here. An engine that owes this one, while none of its
processes does anything, has failed. One that works is never taken for failed, however long it
takes: a long prompt, or a machine that is too busy, is no fault that another start would mend.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import StrEnum

from serving.runtime.watchdog import EVERY, STOPPED, Look, Standing, look

STILL = 6
"""Looks in a row at which an engine owes a token and does nothing, until it has failed."""
OWING, QUIET = 1.5, 30.0
"""Seconds without a token after which one is asked for: while there are requests, and else."""
SOONER = 10
"""How many times between two looks it is asked whether the engine has ended: until then who asks it
gets nothing, at once, which makes it look like the replica with the least to do."""
OF_TIME = 0.05
"""Most of an engine's time that such tokens may take."""


log = logging.getLogger("llmops.replica")


class Failure(StrEnum):
    """What has become of an engine."""

    ENDED = "the engine has ended"
    STOPPED = "a process of the engine is stopped"
    STILL = "the engine owes a token and does nothing"


class Pulse:
    """Watches one engine, from when it is ready.

    Args:
        ask: Has the engine make one token, and returns when it has; without any other work.
        engine: Pids of the engine's processes.
        ended: Whether the engine knows itself that it has ended.
        lost: Called once, when the engine has failed.
        alone: Whether these processes do all of the work. In a pipeline over several machines they
            rightly wait for others: there only what is stopped or ended has failed.
        look: Sees a process.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[None]],
        engine: Sequence[int],
        ended: Callable[[], bool],
        lost: Callable[[Failure], None],
        *,
        alone: bool = True,
        look: Callable[[int], Look | None] = look,
        every: float = EVERY,
    ) -> None:
        self._ask, self._engine, self._ended, self._lost = ask, engine, ended, lost
        self._alone, self._look, self._every = alone, look, every
        self._standing = Standing()
        self._requests = 0
        self._last = time.monotonic()
        self._pause = 0.0
        self._probe: asyncio.Task[None] | None = None
        self.made = 0
        """Tokens that were made because they were asked for here."""

    def came(self) -> None:
        """Something has come from the engine."""
        self._last = time.monotonic()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """The engine has a request until the end of the `with`."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def run(self) -> None:
        """Look until the engine has failed, or this is cancelled."""
        try:
            while True:
                for _ in range(SOONER):
                    if self._ended():
                        self._lost(Failure.ENDED)
                        return
                    await asyncio.sleep(self._every / SOONER)
                if (found := self._failure()) is not None:
                    self._lost(found)
                    return
        finally:
            if self._probe is not None:
                self._probe.cancel()

    def _failure(self) -> Failure | None:
        found = {pid: self._look(pid) for pid in self._engine}
        self._standing.see(found, owes=self._probe is not None)
        if self._standing.stopped >= STOPPED:
            return Failure.STOPPED
        if self._alone and self._standing.still >= STILL:
            return Failure.STILL
        quiet = max(OWING if self._requests else QUIET, self._pause)
        if self._probe is None and time.monotonic() - self._last >= quiet:
            self._probe = asyncio.create_task(self._token())
        return None

    async def _token(self) -> None:
        began = time.monotonic()
        try:
            await self._ask()
            self.made += 1
        except Exception as error:  # noqa: BLE001 - it answers: what it says is no matter here
            log.info("the engine makes no token: %s", type(error).__name__)
        finally:
            self.came()
            self._pause = min(QUIET, (self._last - began) / OF_TIME)
            self._probe = None


__all__ = ["Failure", "Pulse"]
