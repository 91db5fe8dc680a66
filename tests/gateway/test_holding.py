"""A service without a replica: who asks waits, bounded, and sees that it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serving.gateway import GatewayConfig, ReleaseRef, Replicas
from serving.gateway import holding as places
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import LIMITS, Answer, FakeUpstream, Forever, Gate, refused

SERVED, STAGED = ReleaseRef("tiny", 3), ReleaseRef("tiny", 4)
NONE, ONE = Replicas(), Replicas(running=1)


def config(**scaling: Any) -> GatewayConfig:
    releases = [{"release": 3, "share": 100}, {"release": 4, "share": 0}]
    entry = {"releases": releases, "limits": LIMITS, "context": 2048, "scaling": scaling}
    services = {"tiny": entry}
    return GatewayConfig.parse({"generation": 2, "keys_version": "1", "services": services})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "QUIET", 0.02)
    monkeypatch.setattr(places, "SIGNS_EVERY", 0.02)


def asleep(gate: Gate, requests: int = 4, seconds: float = 3.0) -> Gate:
    gate.app.reconfigure(config(hold={"requests": requests, "seconds": seconds}))
    gate.app.know({SERVED: NONE, STAGED: NONE}, 1)
    return gate


async def held(gate: Gate, count: int) -> None:
    for _ in range(600):
        if gate.app.figures()[SERVED]["waiting"] == count:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"there never were {count} requests that waited")


async def test_a_request_waits_for_a_replica_and_is_answered_by_it(gate: Gate) -> None:
    asking = asyncio.create_task(asleep(gate).complete())
    await held(gate, 1)
    assert not gate.upstream.requests
    gate.app.know({SERVED: ONE}, 1)
    reply = await asking
    assert (reply.status, reply.json()["choices"][0]["text"]) == (200, "hello")
    assert gate.app.figures()[SERVED]["waiting"] == 0


async def test_a_stream_shows_that_it_waits_and_is_whole(gate: Gate) -> None:
    asking = asyncio.create_task(asleep(gate).complete(body={"stream": True}))
    await held(gate, 1)
    await asyncio.sleep(0.1)
    gate.app.know({SERVED: ONE}, 1)
    reply = await asking
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-llmops-release"] == "3"
    assert reply.events[0].startswith(b": waiting for a replica, ")
    assert reply.events[-1] == b"data: [DONE]"
    assert reply.whole


async def test_a_stream_that_need_not_wait_long_begins_as_any_other(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "QUIET", 1.0)
    asking = asyncio.create_task(asleep(gate).complete(body={"stream": True}))
    await held(gate, 1)
    gate.app.know({SERVED: ONE}, 1)
    assert not any(event.startswith(b":") for event in (await asking).events)


async def test_more_than_may_wait_are_sent_away(gate: Gate) -> None:
    asking = [asyncio.create_task(asleep(gate, requests=2).complete()) for _ in range(2)]
    await held(gate, 2)
    reply = await gate.complete()
    assert (reply.status, reply.code) == (503, "no_replica")
    assert reply.headers["retry-after"] == "15"
    gate.app.know({SERVED: ONE}, 1)
    assert [(await one).status for one in asking] == [200, 200]


async def test_who_waited_too_long_is_sent_away(gate: Gate) -> None:
    reply = await asleep(gate, seconds=0.1).complete()
    assert (reply.status, reply.error["message"]) == (503, "no replica came within 0.1 s")
    assert reply.headers["retry-after"] == "15"


async def test_a_stream_that_waited_too_long_is_told_inside_of_it(gate: Gate) -> None:
    reply = await asleep(gate, seconds=1.0).complete(body={"stream": True})
    assert reply.status == 200, "it had begun"
    assert b'"code": "no_replica"' in reply.events[-1]
    assert reply.whole
    assert gate.lines()[-1]["reason"] == "no_replica"


async def test_a_refusal_of_the_engine_is_told_inside_of_a_stream_that_waited(
    make_gate: MakesGate,
) -> None:
    gate = asleep(make_gate(FakeUpstream(refused(400, "too long", "prompt"))))
    asking = asyncio.create_task(gate.complete(body={"stream": True}))
    await held(gate, 1)
    await asyncio.sleep(0.1)
    gate.app.know({SERVED: ONE}, 1)
    reply = await asking
    assert b"too long" in reply.events[-1]
    assert reply.whole


async def test_a_client_that_hangs_up_frees_its_place(gate: Gate) -> None:
    reply = await asleep(gate).complete(hangs_up_after=0)
    assert reply.status == 0
    assert gate.app.figures()[SERVED]["waiting"] == 0
    assert not gate.upstream.requests


async def test_a_client_of_a_stream_that_hangs_up_amid_signs_frees_its_place(gate: Gate) -> None:
    await asleep(gate).complete(body={"stream": True}, hangs_up_after=3)
    assert gate.app.figures()[SERVED]["waiting"] == 0


async def test_nothing_waits_where_nobody_said_that_no_replica_runs(gate: Gate) -> None:
    gate.app.reconfigure(config(hold={"requests": 1, "seconds": 9}))
    assert (await gate.complete()).status == 200


async def test_nothing_waits_in_a_service_that_never_sleeps(gate: Gate) -> None:
    gate.app.reconfigure(config())
    gate.app.know({SERVED: NONE}, 1)
    assert (await gate.complete()).status == 200


async def test_a_service_that_sleeps_is_well_and_is_not_woken_by_the_gateway(gate: Gate) -> None:
    asleep(gate)
    assert (await gate.ask("GET", "/health", key="")).status == 200
    assert gate.app.state()["services"]["tiny"]["healthy"]
    assert not gate.app.quiet(60)
    gate.app.know({SERVED: ONE}, 1)
    assert gate.app.quiet(60) == [SERVED], "one that runs has to show that it generates"
    assert (await gate.ask("GET", "/health", key="")).status == 503


async def test_a_service_that_nobody_could_wake_is_not_well(gate: Gate) -> None:
    await asleep(gate, seconds=0.05).complete()
    assert (await gate.ask("GET", "/health", key="")).status == 503
    gate.app.know({SERVED: ONE}, 1)
    await gate.complete()
    gate.app.know({SERVED: NONE}, 1)
    assert (await gate.ask("GET", "/health", key="")).status == 200


async def test_what_is_asked_for_is_counted_by_release(make_gate: MakesGate) -> None:
    upstream = FakeUpstream(Answer([Forever()]))
    gate = make_gate(upstream)
    gate.app.reconfigure(config(ttft=10.0))
    asking = asyncio.create_task(gate.complete())
    await upstream.reached.wait()
    figures = gate.app.figures()[SERVED]
    assert (figures["arrived"], figures["in_flight"], figures["waiting"]) == (1, 1, 0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await gate.complete(body={"stream": True})
    figures = gate.app.figures()[SERVED]
    assert (figures["arrived"], figures["in_flight"], figures["judged"]) == (2, 0, 1)
    assert (figures["missed"], figures["tokens_per_second"]) == (0, 2 / 60)


async def test_answers_that_miss_the_objective_are_counted(gate: Gate) -> None:
    gate.app.reconfigure(config(ttft=0.0))
    await gate.complete(body={"stream": True})
    figures = gate.app.figures()[SERVED]
    assert (figures["judged"], figures["missed"]) == (1, 1)


async def test_who_waited_for_a_start_is_not_held_against_the_objective(gate: Gate) -> None:
    gate.app.reconfigure(config(ttft=0.0, hold={"requests": 4, "seconds": 3.0}))
    gate.app.know({SERVED: NONE}, 1)
    asking = asyncio.create_task(gate.complete(body={"stream": True}))
    await held(gate, 1)
    gate.app.know({SERVED: ONE}, 1)
    await asking
    assert gate.app.figures()[SERVED]["judged"] == 0


async def test_a_release_that_goes_away_lets_its_requests_go_on(gate: Gate) -> None:
    asking = asyncio.create_task(asleep(gate).complete())
    await held(gate, 1)
    gate.app.reconfigure(
        GatewayConfig.parse({"generation": 3, "keys_version": "1", "services": {}})
    )
    assert (await asking).status == 200, "it is told by whom it asks, here by a fake that answers"
