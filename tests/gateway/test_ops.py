"""The ops port: what a gateway tells those who move its traffic, and nothing that is secret."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from serving.gateway import GatewayConfig, Metrics, Ops, ops
from tests.gateway.fakes import Gate, ask

VERSIONS = {"llmops": "1", "ray": "2", "engine": "vllm 3"}


async def _replicas() -> dict[str, list[str]]:
    return {"tiny-r3": ["10.0.0.7"]}


def _ops(gate: Gate, replicas: ops.Replicas = _replicas) -> Any:
    return Ops(gate.app, Metrics().app(), VERSIONS, replicas)


async def test_the_state_is_the_table_in_use_with_what_is_in_flight(gate: Gate) -> None:
    reply = await ask(_ops(gate), "GET", "/state")
    state = json.loads(reply.body)
    assert reply.status == 200
    assert state["generation"] == gate.app._config.generation
    assert state["services"]["tiny"]["releases"]["3"] == 100
    assert state["versions"] == VERSIONS
    assert state["replicas"] == {"tiny-r3": ["10.0.0.7"]}
    assert gate.key not in reply.body.decode()


async def test_the_state_is_told_while_nobody_knows_where_replicas_are(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "REPLICAS_SECONDS", 0.05)
    head_is_back, asked = asyncio.Event(), 0

    async def away() -> dict[str, list[str]]:
        nonlocal asked
        asked += 1
        await head_is_back.wait()
        return await _replicas()

    app = _ops(gate, away)
    for _ in range(3):
        state = json.loads((await ask(app, "GET", "/state")).body)
        assert state["replicas"] is None
        assert state["services"]["tiny"]["releases"]["3"] == 100
    assert asked == 1
    head_is_back.set()
    assert json.loads((await ask(app, "GET", "/state")).body)["replicas"] == await _replicas()


async def test_a_runtime_that_cannot_be_asked_fails_no_request(gate: Gate) -> None:
    async def broken() -> dict[str, list[str]]:
        raise RuntimeError("the controller has died")

    reply = await ask(_ops(gate, broken), "GET", "/state")
    assert (reply.status, json.loads(reply.body)["replicas"]) == (200, None)


async def test_a_gateway_without_a_table_is_not_ready(gate: Gate) -> None:
    assert (await ask(_ops(gate), "GET", "/ready")).status == 200
    gate.app.reconfigure(GatewayConfig.empty())
    assert (await ask(_ops(gate), "GET", "/ready")).status == 503


async def test_nothing_is_changed_there(gate: Gate) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert (await ask(_ops(gate), method, "/state")).status == 405
