"""The queue of each service: as many in flight as its replicas take well, further ones by turns.

How many replicas run is told from outside, since only the runtime knows. Until it has been told
there is no bound, so that a gateway that has just begun keeps nobody waiting for nothing.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from serving.gateway.answers import Refusal
from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.queue import FairQueue, NoTurn
from serving.gateway.upstream import ReleaseRef

PRIORITIES = {"high": 1, "normal": 0, "low": -1}
AGAIN = 60
"""Seconds after which to try again, at most: by then what is known of the pace is old."""


class Turns:
    """The queues of a gateway's services."""

    def __init__(self) -> None:
        self._services: Mapping[str, Service] = {}
        self._queues: dict[str, FairQueue] = {}
        self._replicas: Mapping[ReleaseRef, int] = {}
        self._gateways = 1

    def follow(self, services: Mapping[str, Service]) -> None:
        """Use another routing table."""
        self._services = services
        # Of a service that is gone, those that wait still have their turn.
        gone = [n for n, q in self._queues.items() if n not in services and not q.busy]
        for name in gone:
            del self._queues[name]
        self._bound()

    def running(self, replicas: Mapping[ReleaseRef, int], gateways: int) -> None:
        """Know what runs.

        Args:
            replicas: Replicas that answer, by release.
            gateways: Gateways that share them.
        """
        self._replicas, self._gateways = replicas, max(1, gateways)
        self._bound()

    def of(self, service: str) -> FairQueue:
        """The queue of a service."""
        if service not in self._queues:
            self._queues[service] = FairQueue(self._capacity(service))
        return self._queues[service]

    def figures(self, service: str) -> dict[str, int]:
        """Requests of a service that wait."""
        queue = self._queues.get(service)
        return {"waiting": queue.waiting if queue else 0}

    def spare(self, service: str) -> bool:
        """Whether a further request of a service would have its turn at once."""
        queue = self.of(service)
        room = queue.capacity is None or queue.in_flight < queue.capacity
        return room and not queue.waiting

    @asynccontextmanager
    async def turn(
        self, exchange: Exchange, service: str, priority: str | None = None
    ) -> AsyncIterator[None]:
        """Wait for a request's turn, which lasts until the end of this. A request that has no
        limits has its turn at once: llmops' own find out whether a busy service still answers.

        Args:
            exchange: The request.
            service: Whose queue.
            priority: One of `PRIORITIES`; None is normal.

        Raises:
            Refusal: 429 when too many wait, or it waited too long or would; 499 when its client is
                gone.
        """
        if exchange.ask is None:
            yield
            return
        queue, account = self.of(service), exchange.ask.account
        rank = PRIORITIES[priority or "normal"]
        try:
            with queue.turn(account, cost=exchange.most.total, priority=rank) as turn:
                if turn.waits:
                    await exchange.unless_gone(turn.come())
                try:
                    yield
                finally:
                    queue.settle(turn, exchange.tally.total)
        except NoTurn as error:
            wait = queue.expected_wait(account, rank) or 1.0
            raise Refusal(
                429,
                "overloaded",
                "every replica is busy; try again",
                kind="server_error",
                headers=(("retry-after", str(min(AGAIN, math.ceil(wait)))),),
            ) from error

    def _bound(self) -> None:
        for name, queue in self._queues.items():
            queue.capacity = self._capacity(name)

    def _capacity(self, service: str) -> int | None:
        """Its part of what the replicas take; None where that is not known, or none runs: then a
        request waits where it is held for a replica."""
        table = self._services.get(service)
        if table is None or table.limits.in_flight is None:
            return None
        serving = [ReleaseRef(service, one.release) for one in table.releases if one.share]
        replicas = sum(self._replicas.get(release, 0) for release in serving)
        return -(-table.limits.in_flight * replicas // self._gateways) or None
