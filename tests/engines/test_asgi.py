"""An ASGI app driven in this process: what comes out, in which pieces, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engines import call
from serving.engines.asgi import App, Head

HEADERS = [("content-type", "text/plain"), ("x-one", "caf\xe9")]


def answering(*chunks: bytes, pause: bool = False, after: App | None = None) -> App:
    """An app that answers with `chunks`, then does `after`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": encoded})
        for chunk in chunks:
            if pause:
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if after:
            await after(scope, receive, send)

    return app


def ask(app: App, body: bytes = b"") -> AsyncGenerator[Head | bytes, None]:
    return call(app, "POST", "/v1/completions", [("X-Key", "v")], body)


async def pieces(app: App, body: bytes = b"") -> list[Any]:
    return [piece async for piece in ask(app, body)]


async def test_what_is_ready_together_leaves_together_the_head_too() -> None:
    assert await pieces(answering(b"one", b"two")) == [(200, HEADERS, b"onetwo")]


async def test_pieces_that_come_apart_leave_apart() -> None:
    found = await pieces(answering(b"one", b"two", pause=True))
    assert found == [(200, HEADERS, b""), b"one", b"two"], "one was held back until the next came"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=12), st.booleans())
def test_no_byte_is_lost_doubled_or_reordered(chunks: list[bytes], pause: bool) -> None:
    (status, headers, ready), *rest = asyncio.run(pieces(answering(*chunks, pause=pause)))
    assert (status, headers) == (200, HEADERS)
    assert all(isinstance(piece, bytes) and piece for piece in rest)
    assert b"".join([ready, *rest]) == b"".join(chunks)


async def test_the_app_sees_the_request_whole() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, message=await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})

    assert await pieces(app, b"body") == [(204, [], b"")]
    assert seen["message"] == {"type": "http.request", "body": b"body", "more_body": False}
    assert (seen["method"], seen["path"], seen["raw_path"]) == (
        "POST", "/v1/completions", b"/v1/completions",
    )  # fmt: skip
    assert seen["headers"] == [(b"x-key", b"v")]
    assert seen["query_string"] == b""


async def test_a_second_receive_waits_until_the_client_has_gone() -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            messages.append(await receive())
        finally:
            messages.append("ended")

    asked = ask(app)
    assert await anext(asked) == (200, [], b"")
    await asyncio.sleep(0)
    assert messages == []
    await asked.aclose()
    assert messages[-1] == "ended"


async def test_closing_ends_the_app_before_it_returns() -> None:
    events: list[str] = []

    async def generating(scope: Any, receive: Any, send: Any) -> None:
        try:
            while True:
                await send({"type": "http.response.body", "body": b"token ", "more_body": True})
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # an engine's own abort takes a moment
            events.append("aborted")

    asked = ask(answering(b"first ", after=generating))
    await anext(asked)
    await anext(asked)
    await asked.aclose()
    assert events == ["aborted"]


async def test_cancelling_the_reader_ends_the_app() -> None:
    ended = asyncio.Event()

    async def forever(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    reader = asyncio.create_task(pieces(forever))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert ended.is_set()


async def test_an_error_comes_after_what_was_sent() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the engine died")

    asked = ask(answering(b"part", after=failing))
    assert await anext(asked) == (200, HEADERS, b"part")
    with pytest.raises(RuntimeError, match="the engine died"):
        await anext(asked)


async def test_an_app_that_answers_nothing_gives_nothing() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    assert await pieces(silent) == []


async def test_a_body_that_is_no_bytes_object_travels_as_bytes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytearray(b"x")})
        await send({"type": "http.response.body", "body": memoryview(b"y")})

    assert await pieces(app) == [(200, [], b"xy")]
