"""Requests that go to the other release too: who never waits, who never pays, what is compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from serving.gateway import (
    GatewayConfig,
    ReleaseRef,
    Replicas,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
    UpstreamResponse,
)
from serving.gateway.exchange import Exchange, _nobody, _silence
from serving.gateway.shadows import AT_ONCE
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    CANARY,
    DEADLINE,
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
    whole,
)

OLD, NEW = 3, 4
TRUNCATED = event({"choices": [{"index": 0, "text": "t", "finish_reason": "length"}]})


class Releases(FakeUpstream):
    """Two releases, of which the new one answers as it is told to, again and again."""

    def __init__(self, new: Answer | Exception | Forever | None = None) -> None:
        super().__init__()
        self.new = new
        self.rest: Answer | None = None
        """What the old one answers, where that is not the usual."""

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        self.script.clear()
        told = self.new if release.number == NEW else self.rest
        if told is not None:
            self.script.append(told)
        return await super().send(release, request)


def asked(gate: Gate, number: int) -> list[UpstreamRequest]:
    """The requests that have reached a release."""
    return [request for release, request in gate.upstream.requests if release.number == number]


def follow(
    gate: Gate,
    shadow: int = 100,
    new: int = 50,
    scaling: dict[str, Any] | None = None,
    **limits: Any,
) -> Gate:
    """Share a service's traffic between two releases."""
    service = {
        "releases": [{"release": OLD, "share": 100 - new}, {"release": NEW, "share": new}],
        "limits": LIMITS | {"requests_per_minute": 10_000} | limits,
        "context": 2048, "shadow": shadow, "scaling": scaling,
    }  # fmt: skip
    document = {"generation": 2, "keys_version": "1", "services": {"tiny": service}}
    gate.app.reconfigure(GatewayConfig.parse(document))
    return gate


class MakesShared:
    """Makes gateways of which the old release answers nearly all: the new one's are shadows."""

    def __init__(self, make: MakesGate) -> None:
        self._make = make

    def __call__(self, new: Answer | Exception | Forever | None = None, **more: Any) -> Gate:
        return follow(self._make(Releases(new)), **more)


@pytest.fixture
def shared(make_gate: MakesGate, monkeypatch: pytest.MonkeyPatch) -> MakesShared:
    # Of the points of all shares the first: the old release's.
    monkeypatch.setattr("serving.gateway.routing.random.randrange", lambda _: 0)
    return MakesShared(make_gate)


def seen(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.app.state()["services"]["tiny"].get("shadow", {})
    return found


def pairs(gate: Gate) -> int:
    count: int = seen(gate)["releases"][str(OLD)]["requests"]
    return count


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not what():  # noqa: ASYNC110 - tasks that nobody waits for have no event
            await asyncio.sleep(0)


async def ask(gate: Gate, **options: Any) -> Any:
    reply = await gate.complete(**options)
    assert reply.status == 200, reply.body
    assert reply.headers["x-llmops-release"] == str(OLD)
    return reply


async def test_the_other_release_gets_the_same_and_the_client_one_answer(
    shared: MakesShared,
) -> None:
    gate = shared(whole("another"))
    reply = await ask(gate)
    assert reply.json()["choices"][0]["text"] == "hello"
    await until(lambda: pairs(gate) == 1)
    [old], [new] = (asked(gate, number) for number in (OLD, NEW))
    assert (new.body, new.path) == (old.body, old.path)
    assert new.request_id == f"{old.request_id}-shadow"


@pytest.mark.parametrize("percent", [0, 30, 100])
async def test_a_share_of_the_requests_has_a_shadow(shared: MakesShared, percent: int) -> None:
    gate, count = shared(shadow=percent), 200
    for _ in range(count):
        await ask(gate)
    part = percent / 100
    spread = 6 * (count * part * (1 - part)) ** 0.5  # by chance, once in 500 million
    assert abs(len(asked(gate, NEW)) - count * part) <= spread


@pytest.mark.parametrize("new", [0, 100])
async def test_where_one_release_has_the_traffic_there_is_none(
    make_gate: MakesGate, new: int
) -> None:
    gate = follow(make_gate(Releases()), new=new)
    await gate.complete()
    assert len(gate.upstream.requests) == 1
    assert not seen(gate)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_does_not_wait_for_a_shadow(shared: MakesShared, stream: bool) -> None:
    gate = shared(Forever())
    assert (await ask(gate, body={"stream": stream})).whole
    assert (seen(gate)["sent"], pairs(gate)) == (1, 0)


@pytest.mark.parametrize(
    "new", [UpstreamGone("gone"), UpstreamBusy("full"), RuntimeError(CANARY), refused(500, CANARY)],
    ids=["gone", "busy", "broken", "refused"],
)  # fmt: skip
async def test_what_befalls_a_shadow_befalls_no_client(
    shared: MakesShared, new: Answer | Exception
) -> None:
    gate = shared(new)
    await ask(gate)
    await until(lambda: pairs(gate) == 1)
    counts = seen(gate)["releases"]
    assert (counts["3"]["failures"], counts["4"]["failures"]) == (0, 1)
    labels = {"service": "tiny", "release": "4", "outcome": "failed"}
    assert gate.metric("llmops_shadows_total", **labels) == 1
    assert CANARY not in gate.audit_file.read_text()


async def test_few_are_about_at_once(shared: MakesShared) -> None:
    gate = shared(Forever())
    for _ in range(AT_ONCE + 3):
        await ask(gate)
    assert (seen(gate)["sent"], seen(gate)["dropped"]) == (AT_ONCE, 3)
    assert len(asked(gate, NEW)) == AT_ONCE


async def test_there_is_none_where_the_service_has_no_room_to_spare(shared: MakesShared) -> None:
    gate = shared(in_flight=1)
    replicas = {ReleaseRef("tiny", OLD): Replicas(running=1), ReleaseRef("tiny", NEW): Replicas()}
    gate.app.know(replicas, 1)
    await ask(gate)
    assert (seen(gate)["sent"], seen(gate)["dropped"]) == (0, 1)
    gate.app.know({ReleaseRef("tiny", number): Replicas(running=1) for number in (OLD, NEW)}, 1)
    await ask(gate)
    assert seen(gate)["sent"] == 1


async def test_it_wakes_no_release_that_sleeps(shared: MakesShared) -> None:
    gate = shared(scaling={"hold": {"requests": 9, "seconds": 9.0}})
    replicas = {ReleaseRef("tiny", OLD): Replicas(running=1), ReleaseRef("tiny", NEW): Replicas()}
    gate.app.know(replicas, 1)
    await ask(gate)
    assert (seen(gate)["sent"], seen(gate)["dropped"]) == (0, 1)


async def test_it_takes_no_longer_than_it_may(
    shared: MakesShared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.gateway.shadows.LONGEST", 0.05)
    gate = shared(Forever())
    await ask(gate)
    await until(lambda: gate.upstream.stopped == 1 == seen(gate)["ended"])


def test_its_time_begins_when_that_of_the_request_did() -> None:
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
    exchange = Exchange(scope, _silence, _nobody, "req-1", 0)
    exchange._began -= 5
    assert exchange.shadow(ReleaseRef("tiny", NEW), 0)._began == exchange._began


async def test_it_ends_with_its_client(make_gate: MakesGate) -> None:
    upstream = Releases(Forever())
    upstream.rest = streamed(token(), Forever())
    gate = follow(make_gate(upstream), new=1)
    while not asked(gate, OLD):
        await gate.complete(body={"stream": True}, hangs_up_after=2)
    await until(lambda: seen(gate)["ended"] == seen(gate)["sent"] > 0)
    assert upstream.stopped == len(upstream.requests)
    assert pairs(gate) == 0


async def test_it_ends_with_the_shares(shared: MakesShared) -> None:
    gate = shared(Forever())
    await ask(gate)
    await until(lambda: len(asked(gate, NEW)) == 1)
    follow(gate, new=0)
    await until(lambda: gate.upstream.stopped == 1)
    assert not seen(gate)
    assert [line["reason"] for line in gate.lines() if line.get("shadow")] == ["ended"]


async def test_figures_begin_anew_when_the_shares_change(shared: MakesShared) -> None:
    gate = shared()
    await ask(gate)
    await until(lambda: pairs(gate) == 1)
    follow(gate)
    assert pairs(gate) == 1, "nothing has changed"
    follow(gate, new=20)
    assert pairs(gate) == 0


async def test_nobody_pays_for_it(shared: MakesShared) -> None:
    told = []
    for shadow in (0, 100):
        gate = shared(shadow=shadow, tokens_per_minute=10_000, tokens_per_day=10_000)
        for _ in range(3):
            reply = await ask(gate)
        told.append({k: v for k, v in reply.headers.items() if k.startswith("x-ratelimit")})
        assert gate.metric(
            "llmops_completion_tokens_total", service="tiny", release="3", key="team-a"
        ) == 6  # fmt: skip
    await until(lambda: pairs(gate) == 3)
    assert told[0] == told[1] != {}


async def test_it_is_none_of_the_requests_that_a_canary_is_judged_by(shared: MakesShared) -> None:
    gate = shared(UpstreamGone("gone"))
    await ask(gate)
    await until(lambda: pairs(gate) == 1)
    compared = gate.app.state()["services"]["tiny"]["compared"]
    assert (compared["3"]["requests"], compared["4"]["requests"]) == (1, 0)


async def test_the_audit_tells_it_from_the_request(shared: MakesShared) -> None:
    gate = shared()
    await ask(gate)
    await until(lambda: pairs(gate) == 1)
    lines = {line.get("shadow", False): line for line in gate.lines()}
    assert (lines[False]["release"], lines[True]["release"]) == (OLD, NEW)
    assert lines[True]["request"] == f"{lines[False]['request']}-shadow"
    assert lines[True]["key"] == "team-a"


async def test_both_answers_to_a_request_are_compared(shared: MakesShared) -> None:
    gate = shared(streamed(token(CANARY), token(), TRUNCATED, USAGE_EVENT, DONE))
    await ask(gate, body={"stream": True})
    await until(lambda: pairs(gate) == 1)
    old, new = (seen(gate)["releases"][str(number)] for number in (OLD, NEW))
    assert (old["truncated"], new["truncated"]) == (0, 1)
    assert (old["tokens"], new["tokens"]) == (2, 2)
    assert sum(old["ttft"].values()) == sum(new["ttft"].values()) == 1
    assert CANARY not in str(gate.app.state())
    assert CANARY not in gate.audit_file.read_text()


async def test_a_proof_of_a_release_has_no_shadow(shared: MakesShared) -> None:
    gate = shared()
    headers = [("llmops-release", str(NEW))]
    await gate.complete(key=gate.operator_key, headers=headers)
    await gate.complete(key=gate.operator_key)
    assert len(gate.upstream.requests) == 2
