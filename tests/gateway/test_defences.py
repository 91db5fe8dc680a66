"""Each defence holds back one attack, and the same attack gets through once it is switched off."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from serving.gateway import Defences, UpstreamGone
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import CANARY, CHAT, FakeUpstream, Gate, message

Probe = Callable[[Gate], Awaitable[None]]


async def keys(gate: Gate) -> None:
    reply = await gate.complete(key="")
    assert reply.status == 401
    assert gate.upstream.requests == []


async def allowlist(gate: Gate) -> None:
    reply = await gate.ask("GET", "/metrics")
    assert reply.status == 404
    assert gate.upstream.requests == []


async def rate(gate: Gate) -> None:
    statuses = [(await gate.complete()).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


async def body(gate: Gate) -> None:
    reply = await gate.complete(body={"prompt": "x" * 70_000})
    assert reply.status == 413
    assert gate.upstream.requests == []


async def fields(gate: Gate) -> None:
    reply = await gate.complete(body={"prompt_embeds": "AAAA"})
    assert (reply.status, reply.param) == (400, "prompt_embeds")


async def fields_of_another_type(gate: Gate) -> None:
    reply = await gate.complete(body={"repetition_penalty": 1e-300})
    assert (reply.status, reply.param) == (400, "repetition_penalty")


async def choices(gate: Gate) -> None:
    reply = await gate.complete(body={"n": 10**6})
    assert (reply.status, reply.param) == (400, "n")


async def tokens(gate: Gate) -> None:
    reply = await gate.complete(body={"max_tokens": 10**6})
    assert (reply.status, reply.param) == (400, "max_tokens")


async def tokens_unnamed(gate: Gate) -> None:
    reply = await gate.complete(path=CHAT)
    assert reply.status == 200
    assert gate.upstream.body.get("max_tokens") == 100


async def media(gate: Gate) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}
    reply = await gate.complete(path=CHAT, body={"messages": [message([part])]})
    assert reply.status == 400
    assert gate.upstream.requests == []


async def schemas(gate: Gate) -> None:
    schema = {"properties": {f"p{i}": {} for i in range(300)}, "minProperties": 150}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = await gate.complete(path=CHAT, body={"response_format": wanted})
    assert (reply.status, reply.param) == (400, "response_format")


async def templates(gate: Gate) -> None:
    reply = await gate.complete(path=CHAT, body={"chat_template": "{{ 1 }}"})
    assert (reply.status, reply.param) == (400, "chat_template")


async def template_arguments(gate: Gate) -> None:
    reply = await gate.complete(path=CHAT, body={"chat_template_kwargs": {"a": 1}})
    assert (reply.status, reply.param) == (400, "chat_template_kwargs")


async def isolation(gate: Gate) -> None:
    reply = await gate.complete(body={"model": "other"})
    assert reply.status == 404
    assert gate.upstream.requests == []


async def quarantine(gate: Gate) -> None:
    gate.upstream.script.extend(UpstreamGone("gone", died=f"{n}") for n in range(4))
    replies = [await gate.complete() for _ in range(2)]
    assert [reply.code for reply in replies] == ["request_quarantined"] * 2
    assert len(gate.upstream.requests) == 2


async def quiet_errors(gate: Gate) -> None:
    gate.upstream.script.append(RuntimeError(CANARY))
    reply = await gate.complete()
    assert reply.status == 500
    assert CANARY not in reply.body.decode()
    assert reply.code == "internal_error"


PROBES: list[tuple[str, Probe]] = [
    ("keys", keys),
    ("allowlist", allowlist),
    ("rate", rate),
    ("body", body),
    ("fields", fields),
    ("fields", fields_of_another_type),
    ("choices", choices),
    ("tokens", tokens),
    ("tokens", tokens_unnamed),
    ("media", media),
    ("schemas", schemas),
    ("templates", templates),
    ("templates", template_arguments),
    ("isolation", isolation),
    ("quarantine", quarantine),
    ("quiet_errors", quiet_errors),
]
NAMES = [probe.__name__ for _, probe in PROBES]


@pytest.mark.parametrize(("defence", "probe"), PROBES, ids=NAMES)
async def test_a_defence_holds(make_gate: MakesGate, defence: str, probe: Probe) -> None:
    await probe(make_gate(FakeUpstream(), requests_per_minute=10))


@pytest.mark.parametrize(("defence", "probe"), PROBES, ids=NAMES)
async def test_without_the_defence_the_attack_gets_through(
    make_gate: MakesGate, defence: str, probe: Probe
) -> None:
    off = dataclasses.replace(Defences(), **{defence: False})
    gate = make_gate(FakeUpstream(), requests_per_minute=10, defences=off)
    with pytest.raises(AssertionError):
        await probe(gate)
    assert gate.upstream.requests, "the probe failed, but not because the attack got through"


def test_every_defence_is_on_and_has_a_probe() -> None:
    every = {field.name for field in dataclasses.fields(Defences)}
    assert {defence for defence, _ in PROBES} == every
    assert Defences() == Defences(**dict.fromkeys(every, True))
