"""A stream reaches the client as the engine wrote it, however the wire has cut it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.events import Events, Usage
from tests.gateway.fakes import (
    CANARY,
    CHAT,
    COMPLETIONS,
    DONE,
    USAGE_EVENT,
    Gate,
    event,
    streamed,
    token,
    usage,
)

LOOKALIKES = [
    "data: [DONE]",
    '"usage":{"prompt_tokens":1}',
    '{"error":{"message":"x"}}',
    "\n\ndata: [DONE]\n\n",
    '","usage":{"completion_tokens":9},"x":"',
]
texts = st.one_of(st.text(max_size=12), st.sampled_from(LOOKALIKES))
counts = st.integers(0, 10**6)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes, Usage]:
    """A stream's tokens, its usage event, and what that says."""
    tokens = [token(text) for text in draw(st.lists(texts, max_size=8))]
    prompt, completion = draw(counts), draw(counts)
    last = event({"object": "chunk", "choices": [], "usage": usage(prompt, completion)})
    return tokens, last, Usage(prompt, completion)


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    """`whole` in pieces, cut anywhere."""
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=12))
    return [whole[a:b] for a, b in pairwise([0, *sorted(places), len(whole)])]


@given(streams(), st.booleans(), st.data())
def test_however_it_is_cut_the_same_events_go_on(
    stream: tuple[list[bytes], bytes, Usage], wants_usage: bool, data: st.DataObject
) -> None:
    tokens, last, counted = stream
    events = Events(wants_usage=wants_usage)
    pieces = cut(data, b"".join([*tokens, last, DONE]))
    passed = b"".join(events.feed(piece) for piece in pieces)
    assert passed == b"".join([*tokens, *([last] if wants_usage else []), DONE])
    assert events.done
    assert events.error is None
    assert events.usage == counted
    assert events.tokens == len(tokens)


@given(streams(), st.data())
def test_a_stream_that_is_cut_never_counts_as_ended(
    stream: tuple[list[bytes], bytes, Usage], data: st.DataObject
) -> None:
    tokens, last, _ = stream
    whole = b"".join([*tokens, last, DONE])
    until = data.draw(st.integers(0, len(whole) - 1))
    events = Events(wants_usage=True)
    passed = b"".join(events.feed(piece) for piece in cut(data, whole[:until]))
    assert not events.done
    assert whole.startswith(passed)
    assert passed == b"" or passed.endswith(b"\n\n"), "half an event was passed on"


@given(st.lists(texts, max_size=5), st.integers(400, 599), st.data())
def test_nothing_goes_on_after_the_engine_gave_up(
    said: list[str], code: int, data: st.DataObject
) -> None:
    tokens = [token(text) for text in said]
    error = b"data: " + json.dumps({"error": {"message": CANARY, "code": code}}).encode()
    events = Events(wants_usage=True)
    pieces = cut(data, b"".join([*tokens, error, b"\n\n", token("more"), DONE]))
    assert b"".join(events.feed(piece) for piece in pieces) == b"".join(tokens)
    assert events.error is not None
    assert not events.done
    assert (CANARY in events.error.message) == (code < 500), "the engine's inner words got out"


async def stream(gate: Gate, path: str = COMPLETIONS, **fields: Any) -> list[bytes]:
    reply = await gate.complete(path=path, body={"stream": True, **fields})
    assert reply.status == 200, reply.body
    assert reply.whole
    return reply.events


async def test_usage_is_kept_from_a_client_that_did_not_ask(gate: Gate) -> None:
    assert await stream(gate) == [token().strip(), token().strip(), DONE.strip()]
    line = gate.lines()[-1]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 2)


async def test_usage_reaches_a_client_that_asked(gate: Gate) -> None:
    events = await stream(gate, stream_options={"include_usage": True})
    assert events[-2:] == [USAGE_EVENT.strip(), DONE.strip()]


async def test_usage_in_between_reaches_a_client_that_asked(gate: Gate) -> None:
    between = event({"choices": [{"index": 0, "text": "a"}], "usage": usage(3, 1)})
    gate.upstream.script.append(streamed(between, USAGE_EVENT, DONE))
    options = {"include_usage": True, "continuous_usage_stats": True}
    assert await stream(gate, stream_options=options) == [
        between.strip(), USAGE_EVENT.strip(), DONE.strip()
    ]  # fmt: skip
    assert gate.lines()[-1]["completion_tokens"] == 2


async def test_a_stream_is_not_to_be_stored(gate: Gate) -> None:
    reply = await gate.complete(body={"stream": True})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert "content-length" not in reply.headers
    assert reply.headers["x-llmops-release"] == "3"


async def test_a_comment_is_passed_on_and_is_no_token(gate: Gate) -> None:
    gate.upstream.script.append(streamed(b": keep-alive\n\n", token(), DONE))
    assert await stream(gate) == [b": keep-alive", token().strip(), DONE.strip()]
    assert gate.lines()[-1]["completion_tokens"] == 1


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_times_and_tokens_are_measured(gate: Gate, path: str) -> None:
    await stream(gate, path=path)
    who = {"service": "tiny", "release": "3", "key": "team-a"}
    assert gate.metric("llmops_completion_tokens_total", **who) == 2
    assert gate.metric("llmops_prompt_tokens_total", **who) == 3
    assert gate.metric("llmops_ttft_seconds_count", **who) == 1
    assert gate.metric("llmops_tpot_seconds_count", **who) == 1
    assert gate.metric("llmops_in_flight", **who) == 0
    assert gate.metric("llmops_requests_total", **who, status="200") == 1


async def test_an_answer_without_usage_is_noted(gate: Gate) -> None:
    gate.upstream.script.append(streamed(token(), DONE))
    await stream(gate)
    assert gate.lines()[-1]["failure"] == "no usage"
