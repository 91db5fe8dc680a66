"""An engine that is none: it answers in vLLM's shape, at almost no cost, and validates nothing.

It leaves out the model (each token is the same text), the tokenizer (a prompt counts one token) and
all that vLLM would refuse or fail at. So a request that the door should have refused is answered
here, and a 5xx can only be the door's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from serving.gateway import ReleaseRef, UpstreamRequest, UpstreamResponse

TOKENS = 4
"""Tokens of an answer, unless it is told to ignore the end: then as many as were asked for."""
PIECE = 64
"""Events that come at once."""
TEXT = " token" * 20


class FakeEngine:
    """Plays every replica of every release."""

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        """Answer at once."""
        asked = json.loads(request.body)
        streams = asked.get("stream") is True
        kind = "text/event-stream; charset=utf-8" if streams else "application/json"
        body = _events(asked) if streams else _whole(asked)
        return UpstreamResponse(200, [("content-type", kind)], body)


def _length(asked: dict[str, Any]) -> int:
    wanted = asked.get("max_completion_tokens") or asked.get("max_tokens") or TOKENS
    return int(wanted) if asked.get("ignore_eos") is True else min(int(wanted), TOKENS)


def _choices(asked: dict[str, Any], text: str, key: str) -> list[dict[str, Any]]:
    chat = "messages" in asked
    return [
        {"index": i, **({key: {"role": "assistant", "content": text}} if chat else {"text": text})}
        for i in range(asked.get("n") or 1)
    ]


def _usage(asked: dict[str, Any]) -> dict[str, int]:
    completion = _length(asked) * (asked.get("n") or 1)
    return {
        "prompt_tokens": 1, "completion_tokens": completion, "total_tokens": 1 + completion,
    }  # fmt: skip


async def _whole(asked: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    choices = _choices(asked, TEXT * _length(asked), "message")
    yield json.dumps({"id": "fake", "choices": choices, "usage": _usage(asked)}).encode()


async def _events(asked: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    event = _event({"id": "fake", "choices": _choices(asked, TEXT, "delta")})
    left = _length(asked)
    while left > 0:
        yield event * min(left, PIECE)
        await asyncio.sleep(0)  # no engine has all its tokens at once
        left -= PIECE
    yield _event({"id": "fake", "choices": [], "usage": _usage(asked)}) + b"data: [DONE]\n\n"


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
