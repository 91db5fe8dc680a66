"""Whose turn it is, when a service has as many requests in flight as it takes well. Pure, one loop.

The rule is that of the virtual token counter (Sheng et al., "Fairness in Serving Large Language
Models", OSDI 2024): each key has a counter of the tokens it was served, and of the keys that wait
the one with the least comes next. A key that comes back after a pause starts at the least counter
there is, so nobody saves up, and nobody pays for having used what no one else wanted; and of keys
that were served alike, the one whose turn is longest ago is next. Hence a request of a key that was
not served more than the others waits for at most one turn of each other key, however many requests
these have waiting. Of one key the requests keep their order.

Keys of a higher priority come before all of a lower one; the rule is that of keys of one priority.

The room is bounded. When it is full, the newest request of the key that fills most of it is sent
away, of the lowest priority that waits, so that one key cannot keep the others out of the room
either. Who would wait longer than its patience is sent away at once, and not at the end of it: by
the pace at which turns have come since requests wait, and by whose turns come first. Otherwise a
lasting overload would have all wait for as long as anybody is willing to.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

ROOM = 512
"""Requests of one service that may wait at one gateway. Each holds its body, 1 MiB by default."""
PATIENCE = 30.0
"""Seconds that a request waits for its turn: less than HTTP clients wait for a first byte."""
PACED, FEW = 64, 8
"""Most ends of requests that the pace is taken from, and those without which there is none."""


class NoTurn(Exception):
    """A request does not come to its turn."""


class RoomFull(NoTurn):
    """Too many wait already, and its key has the most of them."""


class WaitedTooLong(NoTurn):
    """Its patience has ended."""


class WouldWaitTooLong(NoTurn):
    """By the pace of turns its patience would end before it has one."""


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
    priority: int = 0
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
        clock: Seconds, of a clock that nobody sets.
    """

    def __init__(
        self,
        capacity: int | None = None,
        *,
        room: int = ROOM,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self.room = room
        self.patience = patience
        self._clock = clock
        self.in_flight = 0
        self._waiting: dict[tuple[int, str], deque[Turn]] = {}
        """By priority and key."""
        self._ends: deque[float] = deque(maxlen=PACED)
        """When requests have ended since others wait, after when that began."""
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

    def expected_wait(self, key: str, priority: int = 0) -> float | None:
        """Seconds that a new request of a key would wait, were all alike; None where it would not,
        or where there is no telling yet."""
        if len(self._ends) <= FEW:
            return None
        own = len(self._waiting.get((priority, key), ()))
        first = own + sum(
            len(line) if rank > priority else min(len(line), own + 1)
            for (rank, other), line in self._waiting.items()
            if rank > priority or (rank == priority and other != key)
        )
        passed = max(1e-6, self._clock() - self._ends[0])
        return (first + 1) * passed / (len(self._ends) - 1)

    @contextlib.contextmanager
    def turn(
        self, key: str, *, cost: float = 1, patience: float | None = None, priority: int = 0
    ) -> Iterator[Turn]:
        """A place in the queue, left at the end of the `with`, whether its turn has come or not.

        Args:
            key: Whose request it is.
            cost: Tokens that it will take, as far as can be told.
            patience: Seconds that it waits.
            priority: Higher ones come first.

        Raises:
            RoomFull: When too many wait.
            WouldWaitTooLong: When it would most likely wait for longer than it is willing to.
        """
        patience = self.patience if patience is None else patience
        turn = Turn(key, max(1.0, cost), patience, priority)
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
        if self._capacity is not None and self.in_flight >= self._capacity:
            wait = self.expected_wait(turn.key, turn.priority)
            if wait is not None and wait > turn.patience:
                raise WouldWaitTooLong(f"its turn would come after some {wait:.0f} s")
            if self.waiting >= self.room:
                self._make_room(turn)
            if not self._waiting:
                self._ends.clear()
                self._ends.append(self._clock())
        line = turn.priority, turn.key
        if line not in self._waiting:
            self._served[turn.key] = self._counter(turn.key)
        self._waiting.setdefault(line, deque()).append(turn)
        self._go_on()

    def _make_room(self, turn: Turn) -> None:
        """Of the lowest priority, send away the newest request of the key that has most, unless
        that is `turn`'s own."""
        lowest = min((priority for priority, _ in self._waiting), default=turn.priority)
        lines = [line for (priority, _), line in self._waiting.items() if priority == lowest]
        most = max(lines, key=len, default=deque[Turn]())
        own = len(self._waiting.get((turn.priority, turn.key), ()))
        if turn.priority < lowest or (turn.priority == lowest and len(most) <= own + 1):
            raise RoomFull(f"{self.waiting} requests wait already")
        sent_away = most[-1]
        self._remove(sent_away)
        sent_away.comes.set_exception(RoomFull("made room for another key's request"))
        sent_away.comes.exception()  # its waiter may be gone: then nobody asks for it

    def _leave(self, turn: Turn) -> None:
        if turn.flying:
            turn.flying = False
            self.in_flight -= 1
            if self._waiting:
                self._ends.append(self._clock())
            self._go_on()
        elif turn.waits:
            self._remove(turn)
            turn.comes.cancel()
        if not self._waiting:
            self._ends.clear()
            # A counter that is not above the level says nothing: a new one would be the same.
            above = self._level
            self._served = {key: count for key, count in self._served.items() if count > above}

    def _remove(self, turn: Turn) -> None:
        line = self._waiting[turn.priority, turn.key]
        line.remove(turn)
        if not line:
            del self._waiting[turn.priority, turn.key]

    def _go_on(self) -> None:
        """Let requests go on, as many as there is capacity for."""
        while self._waiting and (self._capacity is None or self.in_flight < self._capacity):
            first = min(self._waiting, key=self._order)  # of equals that which waits longest
            line, key = self._waiting.pop(first), first[1]
            turn = line.popleft()
            if line:
                self._waiting[first] = line  # at the end: those it is equal with come before it
            self._level = self._counter(key)
            self._served[key] = self._level + turn.cost
            self.in_flight += 1
            turn.flying = True
            turn.comes.set_result(None)

    def _order(self, line: tuple[int, str]) -> tuple[int, float]:
        priority, key = line
        return -priority, self._counter(key)

    def _counter(self, key: str) -> float:
        return max(self._level, self._served.get(key, 0.0))


__all__ = [
    "PATIENCE",
    "ROOM",
    "FairQueue",
    "NoTurn",
    "RoomFull",
    "Turn",
    "WaitedTooLong",
    "WouldWaitTooLong",
]
