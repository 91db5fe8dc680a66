"""The raw path decides, before anything is parsed, and a key is asked for before it does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.gateway.cases import load
from tests.gateway.fakes import CHAT, COMPLETIONS, Gate, Reply

HOSTS = ["tiny", "a/?x=", "a/v1/models?x=", "/health", "health", "evil:80@tiny", "\xff", ""]


def body_for(path: str) -> bytes:
    return json.dumps(
        {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
        if path.startswith(CHAT)
        else {"model": "tiny", "prompt": "hi"}
    ).encode()


async def send(gate: Gate, case: dict[str, Any], **options: Any) -> Reply:
    method, path = case["ask"].split(" ", 1)
    return await gate.ask(method, path, chunks=[body_for(path)], **options)


@pytest.mark.parametrize("case", load("routes"))
async def test_a_path_answers_as_listed(gate: Gate, case: dict[str, Any]) -> None:
    reply = await send(gate, case)
    assert reply.status == case["status"], reply.body
    reached = [request.path for _, request in gate.upstream.requests]
    assert reached == ([case["reaches"]] if "reaches" in case else [])
    if case["ask"].startswith("HEAD"):
        assert reply.body == b""


@pytest.mark.parametrize("case", load("routes"))
async def test_without_a_key_a_path_tells_nothing(gate: Gate, case: dict[str, Any]) -> None:
    for host in HOSTS:
        reply = await send(gate, case, key="", headers=[("host", host)])
        assert reply.status == (case["status"] if case.get("open") else 401), (case, host)
    assert gate.upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/models", COMPLETIONS, "/metrics"])
async def test_a_server_that_sends_no_raw_path_opens_nothing(gate: Gate, path: str) -> None:
    assert (await gate.ask("POST", path, key="", raw_path=False)).status == 401
    reply = await gate.ask("POST", path, chunks=[body_for(path)], raw_path=False)
    assert reply.status == {"/v1/models": 405, COMPLETIONS: 200, "/metrics": 404}[path]


async def test_a_path_that_is_no_text_is_a_path_like_others(gate: Gate) -> None:
    for path in (b"/v1/\xff\xfe", b"", b"?", b"/\xed\xa0\x80"):
        assert (await gate.ask("GET", path)).status == 404
        assert (await gate.ask("GET", path, key="")).status == 401


AUTHORIZATIONS: list[list[tuple[str | bytes, str | bytes]]] = [
    [],
    [("authorization", "")],
    [("authorization", "Bearer")],
    [("authorization", "Bearer ")],
    [("authorization", "Bearer {key}x")],
    [("authorization", "Bearer {KEY}")],
    [("authorization", "Bearer x{key}")],
    [("authorization", "Bearer {key},{key}")],
    [("authorization", "Bearer {key} {key}")],
    [("authorization", "Basic {key}")],
    [("authorization", "{key}")],
    [("authorization", b"Bearer \xff\xfe")],
    [("authorization", b"Bearer \x00{key}")],
    [("authorization", "Bearer " + "x" * 60_000)],
    [("authorization", "Bearer llmops-0000000000000000-" + "x" * 43)],
    [("authorization", "Bearer {key}"), ("authorization", "Bearer {key}")],
    [("authorization", "Bearer wrong"), ("authorization", "Bearer {key}")],
    [("authorization", "Bearer {key}"), ("Authorization", "Bearer wrong")],
    [("x-api-key", "{key}x")],
    [("x-api-key", "Bearer {key}")],
    [("x-api-key", "{key}"), ("x-api-key", "{key}")],
    [("x-api-key", "{key}"), ("authorization", "Bearer {key}")],
    [("x-api-key", "wrong"), ("authorization", "Bearer {key}")],
    [("proxy-authorization", "Bearer {key}")],
    [("cookie", "authorization=Bearer {key}")],
]


@pytest.mark.parametrize("headers", AUTHORIZATIONS, ids=range(len(AUTHORIZATIONS)))
async def test_only_one_bearer_key_opens(
    gate: Gate, headers: list[tuple[str | bytes, str | bytes]]
) -> None:
    filled = [(name, _fill(value, gate.key)) for name, value in headers]
    reply = await gate.ask("GET", "/v1/models", key="", headers=filled)
    assert reply.status == 401, filled
    assert reply.headers["www-authenticate"] == "Bearer"


def _fill(value: str | bytes, key: str) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return raw.replace(b"{key}", key.encode()).replace(b"{KEY}", key.upper().encode())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(gate: Gate, scheme: str) -> None:
    headers = [("Authorization", f"{scheme} {gate.key}")]
    assert (await gate.ask("GET", "/v1/models", key="", headers=headers)).status == 200


async def test_a_key_may_stand_where_no_proxy_takes_it(gate: Gate) -> None:
    headers = [("X-Api-Key", gate.key)]
    assert (await gate.ask("GET", "/v1/models", key="", headers=headers)).status == 200


async def test_an_answer_ends_its_connection_once_another_runtime_has_taken_over(
    gate: Gate,
) -> None:
    assert "connection" not in (await gate.complete()).headers
    gate.app.reconfigure(replace(gate.app._config, closing=True))
    for reply in (await gate.complete(), await gate.ask("GET", "/v1/models")):
        assert (reply.status, reply.headers["connection"]) == (200, "close")


async def test_a_model_is_shown_to_its_own_key_alone(gate: Gate) -> None:
    mine = (await gate.ask("GET", "/v1/models")).json()
    assert [(entry["id"], entry["max_model_len"]) for entry in mine["data"]] == [("tiny", 2048)]
    theirs = (await gate.ask("GET", "/v1/models", key=gate.other_key)).json()
    assert [entry["id"] for entry in theirs["data"]] == ["other"]


async def test_every_answer_names_its_request_and_release(gate: Gate) -> None:
    reply = await gate.complete(headers=[("x-request-id", "mine")])
    assert reply.headers["x-llmops-release"] == "3"
    assert reply.headers["x-request-id"].startswith("req-")
    assert reply.headers["x-request-id"] == gate.lines()[-1]["request"]
    assert (await gate.complete()).headers["x-request-id"] != reply.headers["x-request-id"]
    assert "x-request-id" in (await gate.ask("GET", "/nothing", key="")).headers


async def test_the_operators_key_names_a_release_and_no_other_key_does(gate: Gate) -> None:
    wanted = [("LLMOps-Release", "4")]
    staged = await gate.complete(key=gate.operator_key, headers=wanted)
    assert staged.headers["x-llmops-release"] == "4"
    assert (await gate.complete(headers=wanted)).headers["x-llmops-release"] == "3"
    for nonsense in ("5", "4 ", "²", "-4", "", "4" * 5000):
        headers = [("llmops-release", nonsense)]
        assert (await gate.complete(key=gate.operator_key, headers=headers)).status == 400


async def test_a_websocket_is_closed_and_other_protocols_are_left_alone(gate: Gate) -> None:
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await gate.app({"type": "websocket", "path": "/v1/models"}, receive, send)
    await gate.app({"type": "lifespan"}, receive, send)
    assert sent == ["websocket.close"]


async def test_an_ordinary_client_is_served(gate: Gate) -> None:
    transport = httpx.ASGITransport(gate.app)
    headers = {"authorization": f"Bearer {gate.key}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gate", headers=headers
    ) as client:
        answer = await client.post(COMPLETIONS, json={"model": "tiny", "prompt": "hi"})
        assert answer.json()["choices"][0]["text"] == "hello"
        models = await client.get("/v1/models/tiny")
        assert models.json()["id"] == "tiny"
        assert (await client.get("/v1/models", headers={"authorization": ""})).status_code == 401
