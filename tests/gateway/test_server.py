"""Over real sockets, with the server that hosts the gateway: what no ASGI driver can send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx
import pytest
import pytest_asyncio

from serving.gateway import gateway_server
from serving.gateway.server import MAX_HEAD
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import DEADLINE, DONE, FakeUpstream, Forever, Gate, streamed, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD_DEADLINE = 0.3
"""Seconds; short, so that the test need not wait for the real one."""


@contextlib.asynccontextmanager
async def serve(gate: Gate, *, head_deadline: float = HEAD_DEADLINE) -> AsyncIterator[int]:
    """Serve the gateway on a loopback port; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = gateway_server(gate.app, head_deadline=head_deadline)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait_for(running, DEADLINE)
        listener.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[Gate, int]]:
    """One gateway and its server for the tests that need nothing special of it."""
    with tempfile.TemporaryDirectory() as home:
        gate = Gate(Path(home))
        async with serve(gate) as port:
            yield gate, port
        gate.audit.close()


@pytest.fixture
def gate(served: tuple[Gate, int]) -> Gate:
    served[0].upstream.requests.clear()
    served[0].upstream.script.clear()
    return served[0]


@pytest.fixture
def port(served: tuple[Gate, int]) -> int:
    return served[1]


class Line:
    """One connection, spoken to in bytes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def say(self, *parts: bytes | str) -> None:
        for part in parts:
            self._writer.write(part.encode("latin-1") if isinstance(part, str) else part)
        await self._writer.drain()

    async def hear(self) -> tuple[int, dict[str, str], bytes]:
        """The next whole answer: its status, headers and body."""
        async with asyncio.timeout(DEADLINE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
            if "content-length" in headers:
                body = await self._reader.readexactly(int(headers["content-length"]))
            elif "transfer-encoding" in headers:
                body = await self._chunks()
            else:
                body = await self._reader.read()
        return int(first.split()[1]), headers, body

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def closed(self) -> bytes:
        """What still comes until the server hangs up."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""


def request(
    method: str, target: str, *headers: str, key: str = "", body: bytes = b"", length: bool = True
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: gate", *headers]
    if key:
        lines.append(f"authorization: Bearer {key}")
    if length and method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


BODY = json.dumps({"model": "tiny", "prompt": "hi"}).encode()
STREAM = json.dumps({"model": "tiny", "prompt": "hi", "stream": True}).encode()


async def test_an_ordinary_client_is_served_and_streamed_to(gate: Gate, port: int) -> None:
    headers = {"authorization": f"Bearer {gate.key}"}
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=DEADLINE) as client:
        for _ in range(2):  # the second over the same connection
            answer = await client.post("/v1/completions", content=BODY)
            assert answer.json()["choices"][0]["text"] == "hello"
        streamed_ = await client.post("/v1/completions", content=STREAM)
        assert streamed_.text.endswith("data: [DONE]\n\n")
        assert (await client.head("/v1/models")).content == b""
        assert (await client.get("/v1/models")).status_code == 200
        assert "server" not in answer.headers


async def test_a_body_does_not_wait_for_its_head_to_be_acknowledged(gate: Gate, port: int) -> None:
    async with Line(port) as line:
        took = []
        for _ in range(20):
            began = asyncio.get_running_loop().time()
            await line.say(request("POST", "/v1/completions", key=gate.key, body=BODY))
            assert (await line.hear())[0] == 200
            took.append(asyncio.get_running_loop().time() - began)
    usual = statistics.median(took)  # what is held back waits 40 ms, each time
    assert usual < 0.04, f"{usual * 1000:.0f} ms for a request: packets are held back"


async def test_a_length_and_chunks_smuggle_nothing(gate: Gate, port: int) -> None:
    hidden = request("POST", "/v1/completions", key=gate.key, body=BODY)
    async with Line(port) as line:
        await line.say(
            request(
                "POST", "/v1/completions", "transfer-encoding: chunked",
                f"content-length: {len(hidden) + 5}", key=gate.key, length=False,
            ),
            b"0\r\n\r\n", hidden,
        )  # fmt: skip
        status, headers, _ = await line.hear()
        assert (status, headers["connection"]) == (400, "close")
        assert await line.closed() == b"", "what was hidden in the body was answered"
    assert gate.upstream.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        ("content-length: 5", "content-length: 6"),
        ("content-length: 5, 6",),
        ("content-length: +5",),
        ("content-length: -5",),
        ("content-length: 0x5",),
        ("content-length: 99999999999999999999999",),
        ("transfer-encoding: gzip, chunked",),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding: xchunked",),
        ("transfer-encoding : chunked",),
        ("content-length\n: 5",),
        (" content-length: 5",),
    ],
)
async def test_a_length_that_can_be_read_in_two_ways_is_not_read(
    gate: Gate, port: int, headers: tuple[str, ...]
) -> None:
    async with Line(port) as line:
        sent = request("POST", "/v1/completions", *headers, key=gate.key, length=False)
        await line.say(sent, BODY, request("GET", "/v1/models", key=gate.key))
        status, _, _ = await line.hear()
        assert status in (400, 413, 501)
        assert b"HTTP/1.1 200" not in await line.closed(), "what followed was taken for a request"
    assert gate.upstream.requests == []


async def test_the_body_of_a_refused_request_is_no_request(gate: Gate, port: int) -> None:
    hidden = request("GET", "/v1/models", key=gate.key)
    async with Line(port) as line:
        await line.say(request("POST", "/v1/completions", key="wrong", body=hidden))
        assert (await line.hear())[0] == 401
        await line.say(request("GET", "/v1/models/x", key=gate.key))
        assert (await line.hear())[0] == 404, "the refused body was taken for a request"


async def test_a_trailer_is_no_header(gate: Gate, port: int) -> None:
    async with Line(port) as line:
        sent = request("POST", "/v1/completions", "transfer-encoding: chunked", length=False)
        trailer = f"0\r\nauthorization: Bearer {gate.key}\r\n\r\n"
        await line.say(sent, f"{len(BODY):x}\r\n", BODY, "\r\n", trailer)
        assert (await line.hear())[0] == 401


@pytest.mark.parametrize(
    ("target", "with_key"),
    [
        ("http://gate/v1/models", 404),
        ("http://gate/health", 404),
        ("//v1/models", 404),
        ("/v1/models?x=/health", 200),
        ("/health?x", 503),
        ("/v1/models/%2e%2e/%2e%2e/metrics", 404),
        ("*", 404),
    ],
)
async def test_a_target_is_decided_on_as_it_was_sent(
    gate: Gate, port: int, target: str, with_key: int
) -> None:
    async with Line(port) as line:
        await line.say(request("GET", target, key=gate.key))
        assert (await line.hear())[0] == with_key
        await line.say(request("GET", target))
        assert (await line.hear())[0] == (503 if target.startswith("/health?") else 401)


@pytest.mark.parametrize("host", ["a/?x=", "a/v1/models?", "/health", "a@b", "evil:1"])
async def test_the_host_opens_nothing(port: int, host: str) -> None:
    async with Line(port) as line:
        await line.say(f"GET /v1/models HTTP/1.1\r\nhost: {host}\r\n\r\n")
        assert (await line.hear())[0] in (400, 401)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("x-bomb: " + "a" * 2 * MAX_HEAD, id="one header"),
        pytest.param("\r\n".join(f"x-{i}: {'a' * 20}" for i in range(5000)), id="many headers"),
    ],
)
async def test_a_head_is_bounded(gate: Gate, port: int, head: str) -> None:
    before = len(gate.lines())
    async with Line(port) as line:
        with contextlib.suppress(ConnectionError):
            await line.say(request("GET", "/v1/models", head, key=gate.key))
        assert (await line.closed()).split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"")
    assert len(gate.lines()) == before, "it reached the app"


async def test_a_head_that_never_ends_is_not_waited_for(port: int) -> None:
    for begun in (b"", b"GET /v1/models HTTP/1.1\r\nhost: "):
        async with Line(port) as line:
            await line.say(begun)
            assert await line.closed() == b""


async def test_a_head_that_trickles_is_not_waited_for(port: int) -> None:
    async with Line(port) as line:

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                await line.say(b"GET /v1/models HTTP/1.1\r\n")
                for number in range(10_000):
                    await line.say(f"x-{number}: a\r\n")
                    await asyncio.sleep(HEAD_DEADLINE / 10)

        running = asyncio.create_task(trickle())
        try:
            assert await line.closed() == b""
        finally:
            running.cancel()


async def test_a_second_head_has_its_own_time(gate: Gate, port: int) -> None:
    async with Line(port) as line:
        for _ in range(2):
            await line.say(request("GET", "/v1/models", key=gate.key))
            assert (await line.hear())[0] == 200
        await line.say(b"GET /v1")
        assert await line.closed() == b""


@pytest.mark.parametrize("some", [b"", b"x" * 100])
async def test_a_refused_body_is_not_waited_for(port: int, some: bytes) -> None:
    async with Line(port) as line:
        await line.say(request("POST", "/v1/completions", "content-length: 9999", length=False))
        assert (await line.hear())[0] == 401
        await line.say(some)
        assert await line.closed() == b""


async def test_an_answer_may_take_longer_than_a_head(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(streamed(token(), Forever())))
    async with serve(gate, head_deadline=0.05) as port, Line(port) as line:
        await line.say(request("POST", "/v1/completions", key=gate.key, body=STREAM))
        async with asyncio.timeout(DEADLINE):
            await line._reader.readuntil(token() + b"\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line._reader.read(1), 0.3)
        assert gate.upstream.stopped == 0


async def test_a_slow_body_is_answered_408(make_gate: MakesGate) -> None:
    gate = make_gate(body_deadline=0.1)
    async with serve(gate) as port, Line(port) as line:
        await line.say(
            request("POST", "/v1/completions", "content-length: 99", key=gate.key, length=False),
            b'{"model":',
        )
        status, _, body = await line.hear()
        assert (status, json.loads(body)["error"]["code"]) == (408, "body_timeout")
        assert await line.closed() == b""
    assert gate.upstream.requests == []


async def test_nobody_is_told_to_send_a_body_that_will_be_refused(gate: Gate, port: int) -> None:
    async with Line(port) as line:
        expecting = ("expect: 100-continue", "content-length: 999999999")
        await line.say(request("POST", "/v1/completions", *expecting, length=False))
        assert (await line.hear())[0] == 401
    async with Line(port) as line:
        await line.say(request("POST", "/v1/completions", *expecting, key=gate.key, length=False))
        assert (await line.hear())[0] == 413


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_a_client_that_hangs_up_early_stops_its_generation(
    make_gate: MakesGate, body: bytes
) -> None:
    gate = make_gate(FakeUpstream(Forever()))
    async with serve(gate) as port:
        async with Line(port) as line:
            await line.say(request("POST", "/v1/completions", key=gate.key, body=body))
            await asyncio.wait_for(gate.upstream.reached.wait(), DEADLINE)
        await stopped(gate)


async def test_a_client_that_hangs_up_amid_its_stream_stops_its_generation(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(FakeUpstream(streamed(token(), Forever())))
    async with serve(gate) as port:
        async with Line(port) as line:
            await line.say(request("POST", "/v1/completions", key=gate.key, body=STREAM))
            async with asyncio.timeout(DEADLINE):
                await line._reader.readuntil(token())
        await stopped(gate)


async def stopped(gate: Gate) -> None:
    async with asyncio.timeout(DEADLINE):
        while not gate.upstream.stopped:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.005)
    assert len(gate.upstream.requests) == 1


async def test_a_websocket_is_an_ordinary_request_without_a_key(gate: Gate, port: int) -> None:
    upgrade = (
        "connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    )  # fmt: skip
    async with Line(port) as line:
        await line.say(request("GET", "/v1/models", *upgrade))
        assert (await line.hear())[0] == 401


async def test_requests_in_a_row_on_one_line_are_answered_in_order(gate: Gate, port: int) -> None:
    gate.upstream.script.append(streamed(token(), DONE))
    async with Line(port) as line:
        await line.say(
            request("POST", "/v1/completions", key=gate.key, body=STREAM),
            request("GET", "/v1/models"),
            request("GET", "/v1/models", key=gate.key),
        )
        assert (await line.hear())[2] == token() + DONE
        assert [(await line.hear())[0] for _ in range(2)] == [401, 200]


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                     b"GET\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n"])  # fmt: skip
async def test_what_is_no_http_is_hung_up_on(port: int, garbage: bytes) -> None:
    async with Line(port) as line:
        await line.say(garbage)
        said = await line.closed()
        assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")), said
