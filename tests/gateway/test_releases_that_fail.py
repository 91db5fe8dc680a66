"""Replicas die, are full, refuse, fall silent; clients hang up. None of it is hidden or leaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from serving.gateway import GatewayConfig, UpstreamBusy, UpstreamGone, retries
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    CANARY,
    DONE,
    USAGE_EVENT,
    Answer,
    FakeUpstream,
    Forever,
    Gate,
    Piece,
    Reply,
    event,
    refused,
    streamed,
    token,
    whole,
)

GONE, BUSY = UpstreamGone("gone"), UpstreamBusy("full")
WHO = {"service": "tiny", "release": "3", "key": "team-a"}


async def complete(gate: Gate, *, stream: bool = False, **options: Any) -> Reply:
    return await gate.complete(body={"stream": stream}, **options)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dies", ["unsent", "unanswered"])
async def test_a_request_that_was_not_answered_is_sent_once_more(
    make_gate: MakesGate, stream: bool, dies: str
) -> None:
    first = GONE if dies == "unsent" else Answer([GONE])
    gate = make_gate(FakeUpstream(first))
    reply = await complete(gate, stream=stream)
    assert reply.status == 200
    assert [request.request_id for _, request in gate.upstream.requests] == [
        reply.headers["x-request-id"]
    ] * 2
    assert gate.metric("llmops_completion_tokens_total", **WHO) == 2, "counted twice"


async def test_half_a_whole_answer_is_thrown_away(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(Answer([b'{"choices": [', GONE])))
    reply = await complete(gate)
    assert reply.json()["choices"][0]["text"] == "hello"


@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_sent_at_most_twice(make_gate: MakesGate, stream: bool) -> None:
    gate = make_gate(FakeUpstream(GONE, Answer([GONE]), GONE, GONE))
    reply = await complete(gate, stream=stream)
    assert (reply.status, reply.code) == (503, "upstream_gone")
    assert "retry-after" in reply.headers
    assert len(gate.upstream.requests) == 2
    assert gate.lines()[-1]["reason"] == "upstream_gone"
    assert gate.metric("llmops_in_flight", **WHO) == 0


async def test_repeats_are_bounded_by_a_budget_that_requests_earn(
    make_gate: MakesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RESERVE", 2.0)
    gate = make_gate(FakeUpstream(GONE, whole(), GONE, whole(), GONE))
    for status, sent in ((200, 2), (200, 4), (503, 5)):
        reply = await complete(gate)
        assert (reply.status, len(gate.upstream.requests)) == (status, sent)
    assert reply.code == "upstream_gone"
    told = {out: gate.metric("llmops_retries_total", service="tiny", outcome=out)
            for out in ("sent", "refused")}  # fmt: skip
    assert told == {"sent": 2, "refused": 1}
    for _ in range(round(1 / retries.SHARE)):
        gate.upstream.script.append(whole())
        assert (await complete(gate)).status == 200
    gate.upstream.script += [GONE, whole()]
    assert (await complete(gate)).status == 200, "a budget that was used up is not earned again"


CUTS: dict[str, list[Piece]] = {
    "it died": [token(), GONE],
    "it died within an event": [token(), token()[:9], GONE],
    "it ended without its end": [token()],
    "it ended within an event": [token(), token()[:9]],
    "it ended before its end": [token(), USAGE_EVENT],
    "it ended within its end": [token(), DONE[:-1]],
}


@pytest.mark.parametrize("pieces", CUTS.values(), ids=CUTS)
async def test_a_cut_stream_ends_with_an_error_that_names_the_request(
    make_gate: MakesGate, pieces: list[Piece]
) -> None:
    gate = make_gate(FakeUpstream(streamed(*pieces)))
    reply = await complete(gate, stream=True)
    assert len(gate.upstream.requests) == 1, "a begun answer was begun again"
    assert reply.status == 200
    assert reply.whole
    assert reply.events[0] == token().strip()
    error = json.loads(reply.events[-1].removeprefix(b"data: "))["error"]
    assert error["code"] == "stream_cut"
    assert error["type"] == "server_error"
    assert error["request_id"] == reply.headers["x-request-id"]
    assert b"[DONE]" not in reply.body
    assert gate.lines()[-1]["reason"] == "stream_cut"
    assert gate.metric("llmops_requests_total", **WHO, status="502") == 1
    assert gate.metric("llmops_completion_tokens_total", **WHO) > 0
    assert gate.app.state()["services"]["tiny"]["last_generation_at"] is None


async def test_a_stream_of_nothing_is_no_answer(make_gate: MakesGate) -> None:
    reply = await complete(make_gate(FakeUpstream(streamed())), stream=True)
    assert (reply.status, reply.code) == (502, "stream_cut")


async def test_an_engine_that_gives_up_amid_a_stream_is_heard_without_its_inner_words(
    make_gate: MakesGate,
) -> None:
    error = event({"error": {"message": CANARY, "type": "EngineDeadError", "code": 500}})
    gate = make_gate(FakeUpstream(streamed(token(), error, Forever())))
    reply = await complete(gate, stream=True)
    assert gate.upstream.stopped == 1, "nobody told the release to stop"
    assert json.loads(reply.events[-1].removeprefix(b"data: "))["error"]["code"] == "engine_failed"
    assert CANARY.encode() not in reply.body
    assert b"[DONE]" not in reply.body
    assert gate.metric("llmops_requests_total", **WHO, status="502") == 1


@pytest.mark.parametrize(("code", "status"), [(500, 502), (400, 400)])
async def test_an_engine_that_gives_up_at_once_is_answered_by_status(
    make_gate: MakesGate, code: int, status: int
) -> None:
    error = event({"error": {"message": "no", "type": "x", "code": code}})
    reply = await complete(make_gate(FakeUpstream(streamed(error, DONE))), stream=True)
    assert reply.status == status
    assert reply.code in ("engine_failed", "engine_refused")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engines_refusal_keeps_its_words_and_its_field(
    make_gate: MakesGate, stream: bool
) -> None:
    said = "This model's maximum context length is 2048 tokens"
    gate = make_gate(FakeUpstream(refused(400, said, param="input_tokens")))
    reply = await complete(gate, stream=stream)
    assert reply.status == 400
    assert reply.error == {
        "message": said,
        "type": "invalid_request_error",
        "param": "input_tokens",
        "code": "engine_refused",
    }
    assert gate.lines()[-1]["reason"] == "engine_refused"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer([b"plain words"], status=422), 422),
        (Answer([b"[]"], status=400), 400),
        (Answer([b'{"error": "words"}'], status=400), 400),
        (Answer([b'{"message": {"a": 1}}'], status=404), 404),
        (Answer([b""], status=413), 413),
        (Answer([b"<html>"], status=307, headers=[("location", "http://x/")]), 502),
        (Answer([b""], status=204), 502),
        (refused(500, CANARY), 502),
        (refused(503, CANARY), 502),
        (Answer([f"Traceback {CANARY}".encode()], status=500), 502),
    ],
)
async def test_a_refusal_in_any_shape_becomes_openais(
    make_gate: MakesGate, answer: Answer, status: int
) -> None:
    reply = await complete(make_gate(FakeUpstream(answer)))
    assert reply.status == status
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert CANARY.encode() not in reply.body
    assert "location" not in reply.headers


async def test_full_replicas_are_told_with_when_to_come_again(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(BUSY))
    reply = await complete(gate)
    assert (reply.status, reply.code) == (429, "overloaded")
    assert reply.headers["retry-after"] == "1"
    assert len(gate.upstream.requests) == 1


async def test_a_service_without_traffic_says_so(gate: Gate) -> None:
    document = {
        "generation": 2,
        "keys_version": "1",
        "services": {"tiny": {"releases": [{"release": 3, "share": 0}], "context": 10, "limits": {
            "requests_per_minute": 9, "max_body": 999, "max_tokens": 9, "max_choices": 1}}},
    }  # fmt: skip
    gate.app.reconfigure(GatewayConfig.parse(document))
    reply = await complete(gate)
    assert (reply.status, reply.code) == (503, "no_release")


HANGS: dict[str, tuple[Answer | Forever, int]] = {
    "before the answer": (Forever(), 0),
    "before the first bytes": (streamed(Forever()), 0),
    "amid the stream": (streamed(token(), Forever()), 2),
    "after an event that is not whole": (streamed(token(), token()[:5], Forever()), 2),
}


@pytest.mark.parametrize(("answer", "after"), HANGS.values(), ids=HANGS)
async def test_a_client_that_hangs_up_stops_the_generation(
    make_gate: MakesGate, answer: Answer | Forever, after: int
) -> None:
    gate = make_gate(FakeUpstream(answer))
    await complete(gate, stream=True, hangs_up_after=after)
    assert gate.upstream.stopped == 1
    assert len(gate.upstream.requests) == 1
    assert gate.lines()[-1]["reason"] == "client_gone"
    assert gate.metric("llmops_in_flight", **WHO) == 0


@pytest.mark.parametrize("answer", [Forever(), Answer([b'{"choi', Forever()])])
async def test_a_client_that_hangs_up_on_a_whole_answer_stops_it_too(
    make_gate: MakesGate, answer: Answer | Forever
) -> None:
    gate = make_gate(FakeUpstream(answer))
    reply = await complete(gate, hangs_up_after=0)
    assert reply.status == 0
    assert gate.upstream.stopped == 1


async def test_a_server_that_stops_stops_its_generations(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(Forever()))
    running = asyncio.create_task(complete(gate))
    await gate.upstream.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gate.upstream.stopped == 1
    assert gate.app.state()["services"]["tiny"]["in_flight"] == {}


async def test_a_request_that_is_cancelled_behind_the_gateway_is_sent_once_more(
    make_gate: MakesGate,
) -> None:
    gate = make_gate()
    first = True

    async def send(*args: object) -> object:
        nonlocal first
        if first:
            first = False
            raise asyncio.CancelledError
        return await type(gate.upstream).send(gate.upstream, *args)  # type: ignore[arg-type]

    gate.upstream.send = send  # type: ignore[assignment,method-assign]
    assert (await complete(gate)).status == 200


async def test_whats_in_flight_is_counted_by_release(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(Forever()))
    running = asyncio.create_task(complete(gate))
    await gate.upstream.reached.wait()
    assert gate.app.state()["services"]["tiny"]["in_flight"] == {"3": 1}
    assert gate.metric("llmops_in_flight", **WHO) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gate.app.state()["services"]["tiny"]["in_flight"] == {}


async def test_an_answer_that_is_whole_keeps_what_the_engine_wrote(make_gate: MakesGate) -> None:
    answer = whole("✓")
    gate = make_gate(FakeUpstream(answer))
    reply = await complete(gate)
    assert reply.body == answer.pieces[0]
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json()["model"] == "tiny"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_engines_own_headers_stay_inside(make_gate: MakesGate, stream: bool) -> None:
    answer = streamed(token(), DONE) if stream else whole()
    answer.headers += [("server", CANARY), ("x-request-id", CANARY), ("set-cookie", CANARY)]
    reply = await complete(make_gate(FakeUpstream(answer)), stream=stream)
    assert reply.status == 200
    assert CANARY not in repr(reply.headers)
