"""How many connections may be open, and who goes for whom: by itself, and over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway import gateway_server
from serving.gateway.lines import MOST, Lines, most_lines
from tests.gateway.fakes import DEADLINE, Forever, Gate, streamed, token
from tests.gateway.test_server import STREAM, Line, request

MOST_HERE = 2


@dataclass(eq=False)
class Played:
    """A connection that notes what becomes of it."""

    number: int
    at_work: bool = False
    gave_way: bool = False

    def give_way(self) -> None:
        self.gave_way = True


@given(most=st.integers(1, 5), busy=st.lists(st.booleans(), max_size=20))
def test_never_more_are_open_and_none_at_work_gives_way(most: int, busy: list[bool]) -> None:
    lines = Lines(most)
    open_: list[Played] = []
    for number, at_work in enumerate(busy):
        one = Played(number, at_work)
        full = len(open_) == most
        idle = [other for other in open_ if not other.at_work]
        admitted = lines.admit(one)
        assert admitted is (not full or bool(idle))
        if full and idle:
            assert [other for other in open_ if other.gave_way] == idle[:1], "not the oldest"
        open_ = [other for other in open_ if not other.gave_way] + [one] * admitted
        assert len(open_) <= most


def test_who_has_left_counts_no_more_however_often_it_says_so() -> None:
    lines = Lines(1)
    first, second, third = Played(1, at_work=True), Played(2, at_work=True), Played(3)
    assert lines.admit(first)
    assert not lines.admit(second)
    lines.leave(second)  # was never admitted
    lines.leave(first)
    lines.leave(first)
    assert lines.admit(third)


@pytest.mark.parametrize(
    ("files", "most"), [(-1, MOST), (2**20, MOST), (1024, 768), (256, 1), (10, 1)]
)
def test_the_bound_leaves_files_for_all_else(
    files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    assert most_lines() == most


@contextlib.asynccontextmanager
async def served(home: Path) -> AsyncIterator[tuple[Gate, int]]:
    """A gateway that has room for two connections."""
    gate = Gate(home)
    listener = socket.create_server(("127.0.0.1", 0))
    server = gateway_server(gate.app, most_connections=MOST_HERE)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield gate, listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(running, DEADLINE)
        gate.audit.close()


async def test_who_only_holds_connections_keeps_nobody_out(tmp_path: Path) -> None:
    async with served(tmp_path) as (gate, port), AsyncExitStack() as stack:
        held = [await stack.enter_async_context(Line(port)) for _ in range(MOST_HERE)]
        await held[0].say("GET /v1/models HTTP/1.1\r\nhost: gate\r\n")  # a head that never ends
        await asyncio.sleep(0.05)
        async with Line(port) as line:
            await line.say(request("GET", "/v1/models", key=gate.key))
            assert (await line.hear())[0] == 200
            assert await held[0].closed() == b"", "the oldest has not given way"
            await held[1].say(request("GET", "/v1/models", key=gate.key))
            assert (await held[1].hear())[0] == 200


async def test_where_all_are_answered_a_new_one_is_told_to_come_again(tmp_path: Path) -> None:
    async with served(tmp_path) as (gate, port), AsyncExitStack() as stack:
        answered = []
        for _ in range(MOST_HERE):
            gate.upstream.script.append(streamed(token("a"), Forever()))
            line = await stack.enter_async_context(Line(port))
            await line.say(request("POST", "/v1/completions", key=gate.key, body=STREAM))
            answered.append(line)
        await asyncio.sleep(0.2)
        async with Line(port) as late:
            status, headers, body = await late.hear()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert headers["x-request-id"].startswith("req-")
            assert json.loads(body)["error"]["code"] == "too_many_connections"
            assert await late.closed() == b""
        await answered[0].__aexit__()  # its client goes: a place is free
        await asyncio.sleep(0.2)
        async with Line(port) as line:
            await line.say(request("GET", "/v1/models", key=gate.key))
            assert (await line.hear())[0] == 200
