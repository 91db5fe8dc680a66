"""What is counted of releases that share a service's traffic, so that they can be compared."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from llmops.releases import Figures, figures_of
from serving.gateway import GatewayConfig, UpstreamBusy, UpstreamGone
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    DONE,
    LIMITS,
    USAGE_EVENT,
    Answer,
    FakeUpstream,
    Forever,
    Gate,
    event,
    refused,
    streamed,
    token,
    usage,
)

GONE = UpstreamGone("gone")


def share(gate: Gate, **shares: int) -> None:
    """Share the traffic of `tiny` among its releases."""
    releases = [{"release": int(name[1:]), "share": part} for name, part in shares.items()]
    entry = {"releases": releases, "limits": LIMITS, "context": 2048}
    table = {"generation": 2, "keys_version": "1", "services": {"tiny": entry}}
    gate.app.reconfigure(GatewayConfig.parse(table))


def counted(gate: Gate) -> dict[int, Figures]:
    return figures_of([gate.app.state()["services"]["tiny"]])


async def test_nothing_is_counted_while_one_release_has_all_traffic(gate: Gate) -> None:
    await gate.complete()
    assert counted(gate) == {}
    share(gate, r3=0, r4=100)
    await gate.complete()
    assert counted(gate) == {}


async def test_each_release_is_counted_for_itself(gate: Gate) -> None:
    share(gate, r3=50, r4=50)
    random.seed(5)
    for number in range(20):
        await gate.complete(body={"stream": number % 2 == 0})
    figures = counted(gate)
    asked = [release.number for release, _ in gate.upstream.requests]
    assert {n: f.requests for n, f in figures.items()} == {n: asked.count(n) for n in (3, 4)}
    assert sum(sum(f.ttft.values()) for f in figures.values()) == 10
    assert not any(f.failures for f in figures.values())


STREAM = {"stream": True}
FAILURES: dict[str, tuple[list[Any], dict[str, bool], int]] = {
    "its replica is gone twice": ([GONE, GONE], {}, 0),
    "every replica is busy": ([UpstreamBusy("full")], {}, 0),
    "the engine fails": ([refused(500, "boom")], {}, 0),
    "a stream is cut": ([streamed(token(), GONE)], STREAM, 1),
    "a stream tells an error": ([streamed(token(), event({"error": {"code": 500}}))], STREAM, 1),
    "a stream ends before it began": ([streamed()], STREAM, 0),
}


@pytest.mark.parametrize(("script", "body", "cut"), FAILURES.values(), ids=FAILURES)
async def test_what_the_release_did_not_answer_is_a_failure(
    make_gate: MakesGate, script: list[Answer | Exception], body: dict[str, bool], cut: int
) -> None:
    gate = make_gate(FakeUpstream(*script))
    share(gate, r3=99, r4=1)
    random.seed(1)
    await gate.complete(body=body)
    assert counted(gate)[3] == Figures(1, 1, cut=cut)


def said(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def answered(choice: dict[str, Any]) -> Answer:
    body = {"choices": [{"index": 0, **choice}], "usage": usage(3, 1)}
    return Answer([json.dumps(body).encode()])


ROLE = said({"role": "assistant", "content": ""})
SAYS: dict[str, tuple[Answer, dict[str, bool], tuple[int, int]]] = {
    "a stream with text": (streamed(ROLE, said({"content": "a"}, "stop"), DONE), STREAM, (0, 0)),
    "a stream of a role alone": (
        streamed(ROLE, said({"content": ""}, "stop"), DONE), STREAM, (1, 0)
    ),
    "a stream with reasoning": (
        streamed(ROLE, said({"reasoning": "so"}), said({}, "stop"), DONE), STREAM, (0, 0)
    ),
    "a stream that calls a tool": (
        streamed(ROLE, said({"tool_calls": [{"id": "1"}]}, "tool_calls"), DONE), STREAM, (0, 0)
    ),
    "a stream as long as it may be": (
        streamed(said({"content": "a"}), said({"content": "b"}, "length"), DONE), STREAM, (0, 1)
    ),
    "a text that speaks of it": (
        streamed(said({"content": '"finish_reason":"length"'}, "stop"), DONE), STREAM, (0, 0)
    ),
    "one of two choices as long as it may be": (
        streamed(
            said({"content": "a"}, "stop"),
            event({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}), DONE,
        ), STREAM, (0, 1),
    ),
    "a whole text": (answered({"text": "hello", "finish_reason": "stop"}), {}, (0, 0)),
    "a whole text as long as it may be": (
        answered({"text": "h", "finish_reason": "length"}), {}, (0, 1)
    ),
    "an empty text": (answered({"text": "", "finish_reason": "stop"}), {}, (1, 0)),
    "an empty message": (
        answered({"message": {"role": "assistant", "content": None, "tool_calls": []}}), {}, (1, 0)
    ),
    "no choice": (Answer([b'{"choices":[],"usage":{"prompt_tokens":1}}']), {}, (1, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "body", "expected"), SAYS.values(), ids=SAYS)
async def test_answers_that_say_nothing_or_are_truncated_are_told_apart(
    make_gate: MakesGate, answer: Answer, body: dict[str, bool], expected: tuple[int, int]
) -> None:
    gate = make_gate(FakeUpstream(answer))
    share(gate, r3=99, r4=1)
    random.seed(1)
    await gate.complete(body=body)
    counts = counted(gate)[3]
    assert (counts.requests, counts.failures) == (1, 0)
    assert (counts.empty, counts.truncated) == expected


async def test_the_time_of_each_token_is_counted_of_streams_of_several(
    make_gate: MakesGate,
) -> None:
    long = streamed(token(), token(), event({"choices": [], "usage": usage(3, 2)}), DONE)
    short = streamed(token(), event({"choices": [], "usage": usage(3, 1)}), DONE)
    gate = make_gate(FakeUpstream(long, short))
    share(gate, r3=99, r4=1)
    random.seed(1)
    for _ in range(2):
        await gate.complete(body=STREAM)
    counts = counted(gate)[3]
    assert sum(counts.ttft.values()) == 2
    assert sum(counts.tpot.values()) == 1


async def test_what_the_client_got_wrong_or_left_is_not_counted(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(refused(400, "no"), Forever()))
    share(gate, r3=99, r4=1)
    random.seed(1)
    assert (await gate.complete()).status == 400
    await gate.complete(hangs_up_after=0)
    assert counted(gate)[3] == Figures()


async def test_a_request_that_was_sent_once_more_and_answered_is_no_failure(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(FakeUpstream(GONE, streamed(token(), USAGE_EVENT, DONE)))
    share(gate, r3=99, r4=1)
    random.seed(1)
    await gate.complete(body=STREAM)
    assert (counted(gate)[3].requests, counted(gate)[3].failures) == (1, 0)


async def test_a_request_that_names_its_release_is_left_out(gate: Gate) -> None:
    share(gate, r3=90, r4=10)
    headers = [("llmops-release", "4")]
    assert (await gate.complete(key=gate.operator_key, headers=headers)).status == 200
    assert counted(gate)[4] == Figures()
    for _ in range(10):  # of anybody else the header says nothing
        await gate.complete(headers=headers)
    assert sum(f.requests for f in counted(gate).values()) == 10


async def test_other_shares_are_counted_from_nothing(gate: Gate) -> None:
    share(gate, r3=90, r4=10)
    await gate.complete()
    share(gate, r3=90, r4=10)
    assert sum(f.requests for f in counted(gate).values()) == 1, "the same shares go on"
    share(gate, r3=80, r4=20)
    assert sum(f.requests for f in counted(gate).values()) == 0
    share(gate, r3=0, r4=100)
    assert counted(gate) == {}
