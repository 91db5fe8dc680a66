"""More requests than a service takes: who is refused, when, and what the refusal says."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from serving.gateway import ReleaseRef
from serving.gateway.queue import FEW, FairQueue, RoomFull, Turn, WouldWaitTooLong
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import Clock, FakeUpstream, Forever


class Busy:
    """A queue whose requests take a second each, one at a time."""

    def __init__(self, *, waiting: int, room: int = 512, patience: float = 30.0) -> None:
        self.clock = Clock()
        self.queue = FairQueue(1, room=room, patience=patience, clock=self.clock)
        self._flying = self._enter("old")
        self._lines = [self._enter("old") for _ in range(waiting)]

    def _enter(self, key: str) -> Any:
        entered = self.queue.turn(key)
        entered.__enter__()
        return entered

    def pass_on(self, seconds: float = 1.0) -> None:
        """The one in flight ends after so long, and the next begins."""
        self.clock.now += seconds
        self._flying.__exit__(None, None, None)
        self._flying = self._lines.pop(0)


async def test_who_would_wait_for_too_long_is_told_at_once() -> None:
    busy = Busy(waiting=FEW + 40)
    for _ in range(FEW):
        assert busy.queue.expected_wait("old") is None, "there is no telling yet"
        busy.pass_on()
    assert busy.queue.expected_wait("old") == pytest.approx(41)
    with pytest.raises(WouldWaitTooLong, match="after some 41 s"), busy.queue.turn("old"):
        pass
    assert busy.queue.waiting == 40, "nobody else is sent away for it"
    for _ in range(11):
        busy.pass_on()
    with busy.queue.turn("old") as turn:
        assert turn.waits


async def test_whose_turn_comes_soon_is_not_kept_out_by_others_who_wait() -> None:
    busy = Busy(waiting=FEW + 40)
    for _ in range(FEW):
        busy.pass_on()
    assert busy.queue.expected_wait("new") == pytest.approx(2), "after one of the other key"
    assert busy.queue.expected_wait("old", priority=1) == pytest.approx(1)
    assert busy.queue.expected_wait("new", priority=-1) == pytest.approx(41)


async def test_what_no_longer_moves_is_waited_for_by_nobody() -> None:
    busy = Busy(waiting=FEW + 5)
    for _ in range(FEW):
        busy.pass_on()
    with busy.queue.turn("old"):
        busy.clock.now += 60
        with pytest.raises(WouldWaitTooLong), busy.queue.turn("old"):
            pass


async def test_a_quiet_time_is_no_slow_pace() -> None:
    busy = Busy(waiting=FEW + 1)
    for _ in range(FEW + 1):
        busy.pass_on(100)
    assert busy.queue.expected_wait("old") is None, "nobody waits any more"
    with busy.queue.turn("old"), busy.queue.turn("old") as turn:
        assert turn.waits


async def test_a_higher_priority_has_its_turn_first() -> None:
    queue, served = FairQueue(0), []

    async def one(key: str, priority: int) -> None:
        with queue.turn(key, priority=priority) as turn:
            await turn.come()
            served.append(key)

    ranks = {"low": -1, "normal": 0, "high": 1}
    async with asyncio.TaskGroup() as asking:
        for key in ("low", "normal", "high", "normal", "low", "high"):
            asking.create_task(one(key, ranks[key]))
        await asyncio.sleep(0)
        queue.capacity = 1
    assert served == ["high", "high", "normal", "normal", "low", "low"]


async def test_a_lower_priority_makes_room_for_a_higher_and_never_the_other_way_round() -> None:
    queue, stack = FairQueue(0, room=2), contextlib.ExitStack()

    def enter(priority: int) -> Turn:
        return stack.enter_context(queue.turn(f"key {priority}", priority=priority))

    with stack:
        older, newer, high = enter(-1), enter(-1), enter(1)
        assert [one.waits for one in (older, newer, high)] == [True, False, True]
        with pytest.raises(RoomFull):
            enter(-1)
        normal = enter(0)
        assert [one.waits for one in (older, high, normal)] == [False, True, True]
        with pytest.raises(RoomFull):
            enter(-1)
        enter(1)
        assert (high.waits, normal.waits) == (True, False)
    assert not queue.busy


async def test_at_twice_what_it_takes_a_service_answers_as_many_as_it_can() -> None:
    """The clock is the test's own: a turn takes 0.1 s, a request comes each 0.05 s."""
    clock, ends = Clock(), Counter[str]()
    queue = FairQueue(1, patience=2.0, clock=clock)
    flying: list[Any] = []
    lines: list[tuple[float, Any, Any]] = []
    for step in range(2000):
        clock.now += 0.05
        if step % 2 and flying:
            flying.pop().__exit__(None, None, None)
        entered = queue.turn("key")
        try:
            lines.append((clock.now, entered, entered.__enter__()))
        except WouldWaitTooLong:
            ends["refused at once"] += 1
        while lines and not lines[0][2].waits:
            since, entered, _ = lines.pop(0)
            ends["in time" if clock.now - since <= 2.1 else "too late"] += 1
            flying.append(entered)
    assert ends["too late"] <= FEW, ends
    assert ends["in time"] >= 900, ends
    assert ends["refused at once"] >= 900, ends
    assert queue.waiting <= 21


async def test_a_refusal_says_when_to_try_again(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(Forever()), in_flight=1)
    gate.app.turns.running({ReleaseRef("tiny", 3): 1}, 1)
    queue = gate.app.turns.of("tiny")
    first = asyncio.create_task(gate.complete())
    await gate.upstream.reached.wait()
    queue.expected_wait = lambda key, priority=0: 41.2  # type: ignore[method-assign]
    reply = await gate.complete()
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "overloaded", "42")
    queue.expected_wait = lambda key, priority=0: 4100.0  # type: ignore[method-assign]
    assert (await gate.complete()).headers["retry-after"] == "60"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_keys_have_the_priority_that_the_spec_gives_them(make_gate: MakesGate) -> None:
    gate = make_gate(
        FakeUpstream(Forever()), in_flight=1,
        per_key={"batch": {"priority": "low"}, "pager": {"priority": "high"}},
    )  # fmt: skip
    keys = {name: gate.make_key("tiny", name)[1] for name in ("batch", "pager")}
    gate.app.turns.running({ReleaseRef("tiny", 3): 1}, 1)
    queue = gate.app.turns.of("tiny")
    queue.room = 1
    asking = [asyncio.create_task(gate.complete())]
    await gate.upstream.reached.wait()
    low = asyncio.create_task(gate.complete(key=keys["batch"]))
    while not queue.waiting:  # noqa: ASYNC110 - the queue has no event
        await asyncio.sleep(0)
    asking.append(asyncio.create_task(gate.complete(key=keys["pager"])))
    assert ((await low).status, queue.waiting) == (429, 1)
    assert (await gate.complete(key=keys["batch"])).status == 429
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
