"""A request that ends engines ends two; those that were in flight beside it are answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from serving.gateway import (
    GatewayConfig,
    Metrics,
    ReleaseRef,
    UpstreamGone,
    UpstreamRequest,
    UpstreamResponse,
)
from serving.gateway import quarantine as module
from serving.gateway.exchange import Exchange, _nobody, _silence
from serving.gateway.quarantine import KNOWN, QUARANTINED, SUSPECTED, Quarantine
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    CHAT,
    DONE,
    LIMITS,
    USAGE_EVENT,
    FakeUpstream,
    Gate,
    Reply,
    refused,
    token,
)

KILLER = "kill-5d1f"
AT_THE_END = "late-end-5d1f"
"""Kills when its answer has begun."""


class Engine(FakeUpstream):
    """One engine, which all that it answers share: it dies, for all, of what says so.

    It leaves out replicas that are elsewhere, and the time that another start takes.
    """

    def __init__(self, wave: int = 0) -> None:
        super().__init__()
        self.wave = wave
        """So many requests are there together before anything happens."""
        self.flying: list[list[str]] = []
        """Of each request that is in flight, the death that it met."""
        self.deaths = 0
        self.most = 0
        """Most requests that were in flight together since the first death."""
        self.full = asyncio.Event()

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        self.requests.append((release, request))
        dead: list[str] = []
        self.flying.append(dead)
        if self.deaths:
            self.most = max(self.most, len(self.flying))
        try:
            if not self.deaths and self.wave:
                if len(self.flying) >= self.wave:
                    self.full.set()
                await self.full.wait()
            self._alive(dead)
            if KILLER.encode() in request.body:
                self._die()
            for _ in range(3):
                self._alive(dead)
                await asyncio.sleep(0)
        except BaseException:
            self.flying = [one for one in self.flying if one is not dead]
            raise
        answer = self._default(request)
        return UpstreamResponse(answer.status, answer.headers, self._answered(request, dead))

    async def _answered(
        self, request: UpstreamRequest, dead: list[str]
    ) -> AsyncGenerator[bytes, None]:
        try:
            if b'"stream": true' not in request.body:
                for piece in self._default(request).pieces:
                    assert isinstance(piece, bytes)
                    yield piece
                return
            yield token()
            for _ in range(5):
                await asyncio.sleep(0)
                self._alive(dead)
            if AT_THE_END.encode() in request.body:
                self._die()
                self._alive(dead)
            yield USAGE_EVENT + DONE
        finally:
            self.flying = [one for one in self.flying if one is not dead]

    def _die(self) -> None:
        self.deaths += 1
        for dead in self.flying:
            dead.append(f"death-{self.deaths}")

    def _alive(self, dead: list[str]) -> None:
        if dead:
            raise UpstreamGone("the engine has died", died=dead[0])


def codes(replies: list[Reply]) -> list[int]:
    return [reply.status for reply in replies]


async def together(gate: Gate, *prompts: str, **options: Any) -> list[Reply]:
    asked = (gate.complete(body={"prompt": prompt, **options}) for prompt in prompts)
    return await asyncio.gather(*asked)


async def test_a_killer_ends_two_engines_and_all_beside_it_are_answered(
    make_gate: MakesGate,
) -> None:
    engine = Engine(wave=9)
    gate = make_gate(engine)
    innocent = [f"question {number}" for number in range(8)]
    replies = await together(gate, *innocent[:4], KILLER, *innocent[4:])
    assert codes(replies) == [200] * 4 + [422] + [200] * 4
    assert engine.deaths == 2
    assert engine.most == 1, "suspects were tried together"
    told = gate.app.state()["services"]["tiny"]
    assert (told["quarantined"], told["suspected"]) == (1, 0)


async def test_what_is_in_quarantine_reaches_no_engine(make_gate: MakesGate) -> None:
    engine = Engine()
    gate = make_gate(engine)
    first = await gate.complete(body={"prompt": KILLER})
    assert (first.status, first.code, engine.deaths) == (422, "request_quarantined", 2)
    _, other = gate.make_key("tiny", "team-c")
    options: tuple[dict[str, Any], ...] = ({}, {"stream": True}, {"user": "somebody"})
    for fields in options:
        again = await gate.complete(key=other, body={"prompt": KILLER, **fields})
        assert (again.status, again.code) == (422, "request_quarantined")
        assert again.error["type"] == "invalid_request_error"
        assert again.headers["x-request-id"] in gate.lines()[-1]["request"]
        assert "retry-after" not in again.headers
    assert len(engine.requests) == 2
    assert {line["reason"] for line in gate.lines()} == {"request_quarantined"}
    assert len({line["fingerprint"] for line in gate.lines()}) == 1
    assert KILLER not in gate.audit_file.read_text()
    assert gate.metric("llmops_quarantine_total", service="tiny", event="quarantined") == 1
    assert gate.metric("llmops_quarantine_total", service="tiny", event="refused") == 3
    different = await gate.complete(body={"prompt": KILLER, "max_tokens": 3})
    assert engine.deaths == 4, "another request was taken for the same"
    assert different.status == 422


async def test_many_of_one_kind_end_two_engines_and_no_more(make_gate: MakesGate) -> None:
    engine = Engine(wave=6)
    gate = make_gate(engine)
    assert codes(await together(gate, *[KILLER] * 6)) == [422] * 6
    assert engine.deaths == 2


async def test_a_request_that_kills_amid_its_answer_is_found_too(make_gate: MakesGate) -> None:
    engine = Engine()
    gate = make_gate(engine)
    for _ in range(2):
        [reply] = await together(gate, AT_THE_END, stream=True)
        assert (reply.status, gate.lines()[-1]["reason"]) == (200, "stream_cut")
    assert gate.lines()[-1]["failure"] == "quarantined"
    [reply] = await together(gate, AT_THE_END, stream=True)
    assert (reply.status, engine.deaths) == (422, 2)


async def test_suspects_that_were_together_at_a_second_death_are_tried_alone(
    make_gate: MakesGate,
) -> None:
    engine = Engine()
    gate = make_gate(engine)
    prompts = [AT_THE_END, "a long story", "a longer one"]
    await together(gate, *prompts, stream=True)  # all were in flight
    await together(gate, *prompts, stream=True)  # the others began beside it
    assert gate.app.state()["services"]["tiny"]["quarantined"] == 0, "one of several was blamed"
    replies = await together(gate, *prompts, stream=True)
    assert engine.deaths == 3
    assert [reply.body.endswith(DONE) for reply in replies] == [False, True, True]
    assert gate.app.state()["services"]["tiny"]["quarantined"] == 1


async def test_a_request_that_is_asked_by_many_is_cleared_by_any_answer(
    make_gate: MakesGate,
) -> None:
    engine = Engine(wave=2)
    gate = make_gate(engine)
    for number in range(4):
        engine.wave, engine.full = 2, asyncio.Event()
        engine.deaths = 0
        greeting, _ = await together(gate, "Hello", f"{KILLER} {number}")
        assert greeting.status == 200
    assert gate.metric("llmops_quarantine_total", service="tiny", event="cleared") == 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_death_from_outside_makes_no_suspects(make_gate: MakesGate, stream: bool) -> None:
    gate = make_gate(FakeUpstream(*[UpstreamGone("killed")] * 6))
    for _ in range(3):
        reply = await gate.complete(body={"stream": stream})
        assert (reply.status, reply.code) == (503, "upstream_gone")
    assert (await gate.complete(body={"stream": stream})).status == 200
    assert "fingerprint" not in gate.lines()[-1]


async def test_one_death_counts_once_however_many_asked_the_same(make_gate: MakesGate) -> None:
    gone = UpstreamGone("gone", died="one")
    gate = make_gate(FakeUpstream(gone, gone, gone, gone))
    assert [(await gate.complete()).status for _ in range(2)] == [503, 503]
    [[_, _, deaths]] = gate.app.quarantine.told()["suspected"]
    assert deaths == 1
    assert (await gate.complete()).status == 200


async def test_llmops_own_requests_are_never_suspected(make_gate: MakesGate) -> None:
    deaths = [UpstreamGone("gone", died=f"{number}") for number in range(6)]
    gate = make_gate(FakeUpstream(*deaths))
    for _ in range(3):
        assert (await gate.complete(key=gate.operator_key)).status == 503
    assert (await gate.complete()).status == 200


async def test_an_engines_own_refusal_clears_a_suspect(make_gate: MakesGate) -> None:
    deaths = [UpstreamGone("gone", died=f"{number}") for number in range(2)]
    gate = make_gate(FakeUpstream(deaths[0], refused(400, "no"), deaths[1]))
    assert codes([await gate.complete() for _ in range(3)]) == [400, 200, 200]


async def test_a_suspect_waits_for_those_before_it_and_no_longer_than_it_may(
    make_gate: MakesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.4)
    gate = make_gate()
    lane = gate.app.quarantine._lanes.setdefault("tiny", module._Lane())
    gone = UpstreamGone("gone", died="one")
    gate.upstream.script.append(gone)
    async with lane.line:
        waits = asyncio.create_task(gate.complete())
        assert not (await asyncio.wait({waits}, timeout=0.6))[0], "it gave up with no engine there"
        lane.answers = asyncio.get_running_loop().time()
        early = (await asyncio.wait({waits}, timeout=0.3))[0]
        assert not early, "it gave up as soon as the engine was there"
        reply = await waits
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "upstream_gone", "5")
    assert len(gate.upstream.requests) == 1


async def test_a_client_that_hangs_up_while_it_waits_leaves_the_line(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(UpstreamGone("gone", died="one")))
    lane = gate.app.quarantine._lanes.setdefault("tiny", module._Lane())
    async with lane.line:
        await gate.complete(hangs_up_after=0)
    assert gate.lines()[-1]["reason"] == "client_gone"
    assert (await gate.complete()).status == 200
    assert not lane.flying
    assert not lane.line.locked()


async def test_a_suspect_is_shown_to_no_second_release(make_gate: MakesGate) -> None:
    gate = make_gate()
    entry = {
        "releases": [{"release": 3, "share": 50}, {"release": 4, "share": 50}],
        "limits": LIMITS, "context": 2048, "shadow": 100,
    }  # fmt: skip
    document = {"generation": 2, "keys_version": "1", "services": {"tiny": entry}}
    gate.app.reconfigure(GatewayConfig.parse(document))
    gate.upstream.script.extend([UpstreamGone("gone", died="one"), UpstreamGone("gone")] * 2)
    await gate.complete()
    asked = len(gate.upstream.requests)
    await gate.complete()
    await asyncio.sleep(0)
    asked_now = [release.number for release, _ in gate.upstream.requests[asked:]]
    assert len(set(asked_now)) == 1, "its shadow went to the other release"


async def test_gateways_hear_of_each_others_suspects(make_gate: MakesGate) -> None:
    secret = b"of this runtime"
    one, two = make_gate(secret=secret), make_gate(secret=secret)
    one.upstream.script.extend([UpstreamGone("gone", died="1"), UpstreamGone("gone")])
    two.upstream.script.append(UpstreamGone("gone", died="2"))
    assert (await one.complete()).status == 503
    told = json.loads(json.dumps(one.app.quarantine.told()))
    two.app.quarantine.hear([told])
    assert (await two.complete()).status == 422, "the second death was taken for the first"
    one.app.quarantine.hear([json.loads(json.dumps(two.app.quarantine.told()))])
    assert (await one.complete()).status == 422
    assert one.app.state()["services"]["tiny"]["quarantined"] == 1
    assert "hi" not in json.dumps(told)


class Known:
    """A quarantine of its own, with a clock that is told."""

    def __init__(self) -> None:
        self.time = 0.0
        self.quarantine = Quarantine(b"secret", Metrics(), now=lambda: self.time)

    def exchange(self, prompt: str) -> Exchange:
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
        made = Exchange(scope, _silence, _nobody, "req-1", 0.0)
        self.quarantine.admit(made, "tiny", {"model": "tiny", "prompt": prompt})
        return made

    def suspect(self, prompt: str, *deaths: str) -> None:
        exchange = self.exchange(prompt)
        with self.quarantine.flight(exchange, "tiny") as flight:
            flight.lane.flying.add(flight)
            for death in deaths:
                self.quarantine.died(flight, death)
            exchange.cut = 502

    def figures(self) -> tuple[int, int]:
        told = self.quarantine.figures("tiny")
        return told["quarantined"], told["suspected"]


def test_a_suspicion_and_a_quarantine_end_with_time() -> None:
    known = Known()
    known.suspect("a", "1")
    known.suspect("b", "2", "3")
    assert known.figures() == (1, 1)
    known.time = SUSPECTED + 1
    assert known.figures() == (1, 0)
    known.time = QUARANTINED + 1
    assert known.figures() == (0, 0)
    assert known.exchange("b").suspected is False


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    known = Known()
    for number in range(KNOWN + 5):
        known.suspect(f"a {number}", f"1 {number}", f"2 {number}")
    assert known.figures()[0] == KNOWN
    assert len(known.quarantine.told()["suspected"]) == KNOWN
    lane = known.quarantine._lanes["tiny"]
    assert len(lane.at_deaths) <= module.DEATHS


def test_a_digest_is_of_this_runtime_alone() -> None:
    asked: Callable[[bytes], str] = lambda secret: _likeness(secret, {"prompt": "hi"})  # noqa: E731
    assert asked(b"one") == asked(b"one") != asked(b"two")
    assert len(asked(b"one")) == module.DIGEST


@pytest.mark.parametrize(
    ("field", "same"),
    [("stream", True), ("stream_options", True), ("temperature", False), ("model", False)],
)
def test_a_digest_is_over_what_the_engine_computes(field: str, same: bool) -> None:
    plain = {"model": "tiny", "prompt": "hi"}
    other = plain | {field: "x"}
    assert (_likeness(b"s", plain) == _likeness(b"s", other)) is same


def _likeness(secret: bytes, checked: dict[str, Any]) -> str:
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
    exchange = Exchange(scope, _silence, _nobody, "req-1", 0.0)
    Quarantine(secret, Metrics()).admit(exchange, "tiny", checked)
    return exchange.likeness
