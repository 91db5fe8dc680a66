"""An engine that is none, for measuring what stands before it: it costs next to nothing.

It answers a chat as vLLM does, over whatever it is reached by. How long an answer is comes from the
request: `max_tokens` pieces, each an event of its own, `seed` milliseconds apart. There is no
model, no tokenizer and no queue: a figure that is taken with it is one of the door, never of a
service.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from typing import Any

from serving.gateway import ReleaseRef, UpstreamRequest, UpstreamResponse

PIECE = " token"
MODEL = "tiny"


class Fake:
    """Plays the replicas of a release, in the gateway's own process.

    Args:
        places: Plain requests that it answers at once; further ones wait for good. None is any.
    """

    def __init__(self, places: int | None = None) -> None:
        self._places = asyncio.Semaphore(places) if places else None

    async def send(
        self,
        release: ReleaseRef,  # noqa: ARG002 - an upstream's signature
        request: UpstreamRequest,
    ) -> UpstreamResponse:
        asked = json.loads(request.body)
        if self._places is None:
            return UpstreamResponse(200, _headers(asked), _body(asked))
        async with self._places:
            whole = [piece async for piece in _whole(asked)]
        return UpstreamResponse(200, _headers(asked), _given(whole))


async def _given(pieces: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


async def replies(body: bytes) -> AsyncIterator[Any]:
    """An answer as a replica's handle yields it: status and headers, then the body's pieces."""
    asked = json.loads(body)
    yield 200, _headers(asked)
    async for piece in _body(asked):
        yield piece


async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """The same over HTTP (ASGI)."""
    if scope["type"] == "lifespan":
        while True:
            told = await receive()
            await send({"type": f"{told['type']}.complete"})
            if told["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = json.loads(body or b"{}")
    headers = [(name.encode(), value.encode()) for name, value in _headers(asked)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for piece in _body(asked):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _headers(asked: dict[str, Any]) -> list[tuple[str, str]]:
    streams = asked.get("stream") is True
    return [("content-type", "text/event-stream" if streams else "application/json")]


def _body(asked: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    return _events(asked) if asked.get("stream") is True else _whole(asked)


def _length(asked: dict[str, Any]) -> int:
    return int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 1)


async def _whole(asked: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    await asyncio.sleep(_gap(asked))
    message = {"role": "assistant", "content": PIECE * _length(asked)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    yield json.dumps(_document("chat.completion", [choice], _usage(asked))).encode()


async def _events(asked: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    gap, kind = _gap(asked), "chat.completion.chunk"
    delta = {"index": 0, "delta": {"role": "assistant", "content": PIECE}, "finish_reason": None}
    piece = _event(_document(kind, [delta]))
    for _ in range(_length(asked)):
        await asyncio.sleep(gap)
        yield piece
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    end = _event(_document(kind, [last]))
    if (asked.get("stream_options") or {}).get("include_usage"):
        end += _event(_document(kind, [], _usage(asked)))
    yield end + b"data: [DONE]\n\n"


def _gap(asked: dict[str, Any]) -> float:
    return float(asked.get("seed") or 0) / 1000


def _usage(asked: dict[str, Any]) -> dict[str, int]:
    length = _length(asked)
    return {"prompt_tokens": 1, "completion_tokens": length, "total_tokens": 1 + length}


def _document(kind: str, choices: list[Any], usage: Any = None) -> dict[str, Any]:
    made = {"id": "chatcmpl-fake", "object": kind, "created": 1, "model": MODEL, "choices": choices}
    return made if usage is None else {**made, "usage": usage}


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
