"""The queue: whose turn it is, and that nobody is kept out by whoever asks most."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.queue import FairQueue, RoomFull, Turn, WaitedTooLong


async def a_moment() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Line:
    """Requests at a queue, each a task; `served` is the order in which their turns came."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.refused: list[str] = []
        self._ends: dict[asyncio.Task[None], asyncio.Event] = {}
        self._flying: list[asyncio.Event] = []

    async def join(self, key: str, cost: float = 10, used: float | None = None) -> Any:
        end = asyncio.Event()
        task = asyncio.create_task(self._one(key, cost, used, end))
        self._ends[task] = end
        await a_moment()
        return task

    async def _one(self, key: str, cost: float, used: float | None, end: asyncio.Event) -> None:
        try:
            with self.queue.turn(key, cost=cost) as turn:
                await turn.come()
                self.served.append(key)
                self._flying.append(end)
                await end.wait()
                if used is not None:
                    self.queue.settle(turn, used)
        except RoomFull:
            self.refused.append(key)

    async def end_one(self) -> None:
        """End the request that has been in flight longest."""
        if self._flying:
            self._flying.pop(0).set()
        await a_moment()

    async def end_all(self) -> None:
        for end in self._ends.values():
            end.set()
        self.queue.capacity = None
        await asyncio.gather(*self._ends, return_exceptions=True)


@contextlib.asynccontextmanager
async def line(capacity: int | None, **options: Any) -> AsyncIterator[Line]:
    made = Line(FairQueue(capacity, **options))
    yield made
    await made.end_all()
    assert not made.queue.busy, "a turn leaks"


async def test_a_single_request_waits_for_one_turn_of_a_key_with_a_hundred() -> None:
    async with line(1) as one:
        for _ in range(100):
            await one.join("many")
        await one.join("single")
        await one.end_one()
        await one.end_one()
        assert one.served[:3] == ["many", "single", "many"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.lists(st.floats(1, 5000), min_size=20, max_size=20),
    st.booleans(),
)
async def test_a_fresh_key_waits_for_at_most_one_turn_of_each_other(
    capacity: int, others: int, costs: list[float], settles: bool
) -> None:
    async with line(capacity) as one:
        for index, cost in enumerate(costs * 3):
            await one.join(f"other-{index % others}", cost, cost / 100 if settles else None)
        for _ in range(7):
            await one.end_one()
        before = len(one.served)
        await one.join("fresh")
        for _ in range(others + 1):
            await one.end_one()
        assert "fresh" in one.served[before : before + others + 1], one.served[before:]


async def test_keys_that_wait_get_as_many_tokens_as_each_other() -> None:
    async with line(1) as one:
        for _ in range(40):
            await one.join("large", 300)
        for _ in range(40):
            await one.join("small", 100)
        for _ in range(39):
            await one.end_one()
        large, small = one.served.count("large"), one.served.count("small")
        assert abs(300 * large - 100 * small) <= 400, (large, small)


async def test_one_keys_requests_keep_their_order() -> None:
    queue = FairQueue(1)
    with queue.turn("a") as first, queue.turn("a") as second, queue.turn("a") as third:
        assert [t.waits for t in (first, second, third)] == [False, True, True]
        queue._leave(first)
        assert [t.waits for t in (second, third)] == [False, True]


async def test_nobody_waits_without_a_bound() -> None:
    async with line(None) as one:
        for _ in range(50):
            await one.join("a")
        assert len(one.served) == 50


async def test_more_capacity_lets_the_waiting_go_on_and_less_stops_nobody() -> None:
    async with line(0) as one:
        for _ in range(4):
            await one.join("a")
        assert one.served == []
        one.queue.capacity = 3
        await a_moment()
        assert (len(one.served), one.queue.waiting) == (3, 1)
        one.queue.capacity = 1
        await one.end_one()
        await one.end_one()
        assert (len(one.served), one.queue.in_flight) == (3, 1)
        await one.end_one()
        assert len(one.served) == 4


async def test_who_hangs_up_leaves_its_place() -> None:
    async with line(1) as one:
        await one.join("a")
        gone = await one.join("b")
        await one.join("c")
        gone.cancel()
        await asyncio.sleep(0)
        assert one.queue.waiting == 1
        await one.end_one()
        assert one.served == ["a", "c"]


async def test_who_hangs_up_just_as_its_turn_comes_gives_it_on() -> None:
    async with line(1) as one:
        await one.join("a")
        gone = await one.join("b")
        await one.join("c")
        one.queue.capacity = 2
        gone.cancel()
        await a_moment()
        assert one.served == ["a", "c"]


async def test_patience_ends() -> None:
    queue = FairQueue(0)
    with queue.turn("a", patience=0.01) as turn, pytest.raises(WaitedTooLong):
        await turn.come()
    assert not queue.busy


async def test_the_room_is_bounded_and_shared() -> None:
    async with line(0, room=4) as one:
        for _ in range(5):
            await one.join("many")
        assert one.refused == ["many"]
        await one.join("other")
        assert one.refused == ["many", "many"], "its newest makes room for the other key"
        await one.join("other")
        assert one.refused == ["many"] * 3
        await one.join("other")
        assert one.refused == ["many"] * 3 + ["other"], "both have two now"
        one.queue.capacity = None
        await a_moment()
        assert sorted(one.served) == ["many", "many", "other", "other"]


async def test_a_key_that_was_served_alone_owes_nobody() -> None:
    async with line(2) as one:
        for _ in range(30):
            await one.join("old", 1000)
            await one.end_one()
        await one.join("old", 1000)
        await one.join("old", 1000)
        await one.join("new", 10)
        await one.join("old", 10)
        await one.end_one()
        await one.end_one()
        assert one.served[-2:] == ["new", "old"]


steps = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from("abc"), st.floats(0, 9000)),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 9000)),
    st.tuples(st.just("capacity"), st.none() | st.integers(0, 5)),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=60))
async def test_whatever_happens_turns_are_neither_lost_nor_doubled(
    drawn: list[tuple[Any, ...]],
) -> None:
    queue, open_ = FairQueue(2, room=6), []
    for name, *arguments in drawn:
        if name == "enter":
            stack = contextlib.ExitStack()
            with contextlib.suppress(RoomFull):
                key, cost = arguments
                open_.append((stack, stack.enter_context(queue.turn(key, cost=cost))))
        elif name == "capacity":
            queue.capacity = arguments[0]
        elif open_:
            stack, turn = open_[arguments[0] % len(open_)]
            if name == "leave":
                open_.remove((stack, turn))
                stack.close()
            else:
                queue.settle(turn, arguments[1])
        _check(queue, [turn for _, turn in open_])
    for stack, _ in open_:
        stack.close()
    assert not queue.busy
    assert all(counted > queue._level for counted in queue._served.values())


def _check(queue: FairQueue, turns: list[Turn]) -> None:
    assert queue.in_flight == sum(turn.flying for turn in turns)
    assert queue.waiting == sum(turn.waits for turn in turns)
    if queue.capacity is None or queue.in_flight < queue.capacity:
        assert not queue.waiting, "there is room, and somebody waits"
