"""Whose turn it is, when a service has as many requests in flight as it takes well. Pure, one loop.

The rule is that of the virtual token counter (Sheng et al., "Fairness in Serving Large Language
Models", OSDI 2024): each key has a counter of the tokens it was served, and of the keys that wait
the one with the least comes next. A key that comes back after a pause starts at the least counter
there is, so nobody saves up, and nobody pays for having used what no one else wanted; and of keys
that were served alike, the one whose turn is longest ago is next. Hence a request of a key that was
not served more than the others waits for at most one turn of each other key, however many requests
these have waiting. Of one key the requests keep their order.

The room is bounded. When it is full, the newest request of the key that fills most of it is sent
away, so that one key cannot keep the others out of the room either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

ROOM = 512
"""Requests of one service that may wait at one gateway. Each holds its body, 1 MiB by default."""
PATIENCE = 30.0
"""Seconds that a request waits for its turn: less than HTTP clients wait for a first byte."""


class NoTurn(Exception):
    """A request does not come to its turn."""


class RoomFull(NoTurn):
    """Too many wait already, and its key has the most of them."""


class WaitedTooLong(NoTurn):
    """Its patience has ended."""


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Turn:
    """One request's place: it waits, then it is in flight, until its `with` ends."""

    key: str
    cost: float
    """Tokens it is counted as: an estimate until `settle`."""
    patience: float
    """Seconds that `come` waits."""
    comes: asyncio.Future[None] = field(default_factory=_future)
    flying: bool = False
    """Whether it is in flight."""

    @property
    def waits(self) -> bool:
        """Whether it is still waiting."""
        return not self.comes.done()

    async def come(self) -> None:
        """Wait until it is this request's turn. May be cancelled, and called again.

        Raises:
            RoomFull: When it had to make room for another key's request.
            WaitedTooLong: After `patience` seconds.
        """
        try:
            async with asyncio.timeout(self.patience if self.waits else None):
                await asyncio.shield(self.comes)
        except TimeoutError:
            raise WaitedTooLong(f"no turn within {self.patience:g} s") from None


class FairQueue:
    """The turns of one service at one gateway.

        with queue.turn(key.id, cost=tokens) as turn:
            await turn.come()
            ...                         # in flight until here
            queue.settle(turn, tokens)  # where the real cost has become known

    Args:
        capacity: Requests in flight at once; None is any number, 0 holds every request.
        room: Requests that may wait.
        patience: Seconds that each waits, unless its `turn` says otherwise.
    """

    def __init__(
        self, capacity: int | None = None, *, room: int = ROOM, patience: float = PATIENCE
    ) -> None:
        self._capacity = capacity
        self.room = room
        self.patience = patience
        self.in_flight = 0
        self._waiting: dict[str, deque[Turn]] = {}
        self._served: dict[str, float] = {}
        self._level = 0.0  # the counter of the key that was served last, before that was counted

    @property
    def capacity(self) -> int | None:
        """Requests that may be in flight. More capacity lets waiting ones go on at once; with less,
        those that are in flight go on, and no other follows until they are few enough."""
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int | None) -> None:
        self._capacity = capacity
        self._go_on()

    @property
    def busy(self) -> bool:
        """Whether anything waits or is in flight."""
        return bool(self._waiting or self.in_flight)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._waiting.values()))

    @contextlib.contextmanager
    def turn(self, key: str, *, cost: float = 1, patience: float | None = None) -> Iterator[Turn]:
        """A place in the queue, left at the end of the `with`, whether its turn has come or not.

        Args:
            key: Whose request it is.
            cost: Tokens that it will take, as far as can be told.
            patience: Seconds that it waits.

        Raises:
            RoomFull: When too many wait.
        """
        turn = Turn(key, max(1.0, cost), self.patience if patience is None else patience)
        self._enter(turn)
        try:
            yield turn
        finally:
            self._leave(turn)

    def settle(self, turn: Turn, cost: float) -> None:
        """Count what a request has really taken, in tokens, in place of the estimate."""
        if turn.flying:
            self._served[turn.key] = self._counter(turn.key) + cost - turn.cost
            turn.cost = cost

    def _enter(self, turn: Turn) -> None:
        full = self._capacity is not None and self.in_flight >= self._capacity
        if full and self.waiting >= self.room:
            self._make_room(turn)
        if turn.key not in self._waiting:
            self._served[turn.key] = self._counter(turn.key)
        self._waiting.setdefault(turn.key, deque()).append(turn)
        self._go_on()

    def _make_room(self, turn: Turn) -> None:
        """Send away the newest request of the key that has most, unless that is `turn`'s own."""
        most = max(self._waiting.values(), key=len, default=deque[Turn]())
        if len(most) <= len(self._waiting.get(turn.key, ())) + 1:
            raise RoomFull(f"{self.waiting} requests wait already")
        sent_away = most[-1]
        self._remove(sent_away)
        sent_away.comes.set_exception(RoomFull("made room for another key's request"))
        sent_away.comes.exception()  # its waiter may be gone: then nobody asks for it

    def _leave(self, turn: Turn) -> None:
        if turn.flying:
            turn.flying = False
            self.in_flight -= 1
            self._go_on()
        elif turn.waits:
            self._remove(turn)
            turn.comes.cancel()
        if not self._waiting:
            # A counter that is not above the level says nothing: a new one would be the same.
            above = self._level
            self._served = {key: count for key, count in self._served.items() if count > above}

    def _remove(self, turn: Turn) -> None:
        line = self._waiting[turn.key]
        line.remove(turn)
        if not line:
            del self._waiting[turn.key]

    def _go_on(self) -> None:
        """Let requests go on, as many as there is capacity for."""
        while self._waiting and (self._capacity is None or self.in_flight < self._capacity):
            key = min(self._waiting, key=self._counter)  # of equals the first: the longest waiting
            line = self._waiting.pop(key)
            turn = line.popleft()
            if line:
                self._waiting[key] = line  # at the end: those it is equal with come before it
            self._level = self._counter(key)
            self._served[key] = self._level + turn.cost
            self.in_flight += 1
            turn.flying = True
            turn.comes.set_result(None)

    def _counter(self, key: str) -> float:
        return max(self._level, self._served.get(key, 0.0))


__all__ = ["PATIENCE", "ROOM", "FairQueue", "NoTurn", "RoomFull", "Turn", "WaitedTooLong"]
