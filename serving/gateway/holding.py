"""Requests of a service that sleeps: they wait for a replica, bounded in number and in time.

A client that asked for a stream gets the answer's head and, now and then, a comment line, which
clients of server-sent events skip: so no proxy on the way takes the connection for dead, and who
looks at it sees why nothing comes. Others get nothing until there is an answer. Nothing is waited
for where a replica runs, or where nobody has said that none does.
"""

from __future__ import annotations

import asyncio

from serving.gateway.answers import Refusal
from serving.gateway.config import Hold
from serving.gateway.exchange import Exchange
from serving.gateway.loads import Loads
from serving.gateway.presence import Presence
from serving.gateway.upstream import ReleaseRef

QUIET = 1.0
"""Seconds before the first sign of life: a replica may be there in a moment, and then its answer
begins as any other."""
SIGNS_EVERY = 5.0
"""Seconds between signs of life; proxies wait for 30 s and more."""
AGAIN = "15"
"""Seconds after which one that was sent away may ask again."""


class Holding:
    """The place where requests wait for a replica."""

    def __init__(self, presence: Presence, loads: Loads) -> None:
        self._presence = presence
        self._loads = loads

    async def wait(
        self, exchange: Exchange, release: ReleaseRef, hold: Hold | None, *, stream: bool
    ) -> None:
        """Return once the release has a replica.

        Args:
            exchange: The request; its client may hang up meanwhile.
            release: Whose replica it waits for.
            hold: The bounds; None for a service that never sleeps.
            stream: Whether a stream was asked for.

        Raises:
            Refusal: 503 when too many wait, or it waited too long; 499 when the client is gone.
        """
        if hold is None or not self._presence.absent(release):
            return
        if len(self._loads.of(release).waiting) >= hold.requests:
            raise _away("as many requests wait for a replica as may")
        with self._loads.waiting(release):
            await exchange.unless_gone(self._until(exchange, release, hold.seconds, stream))

    async def _until(
        self, exchange: Exchange, release: ReleaseRef, seconds: float, stream: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), QUIET
        while not await self._presence.comes(release, min(pause, seconds)):
            waited = loop.time() - began
            if waited >= seconds:
                self._loads.gave_up(release)
                raise _away(f"no replica came within {seconds:g} s")
            if stream:
                await exchange.comment(f"waiting for a replica, {waited:.0f} s")
            pause = min(SIGNS_EVERY, seconds - waited)


def _away(message: str) -> Refusal:
    return Refusal(
        503, "no_replica", message, kind="server_error", headers=(("retry-after", AGAIN),)
    )
