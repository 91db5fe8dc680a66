"""What a request may hold, case by case: `tests/cases/gateway`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.cases import load
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import CHAT, COMPLETIONS, Gate, Reply


def check_error(reply: Reply) -> None:
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.body) < 2000, "an error repeats the request"


def check(gate: Gate, reply: Reply, case: dict[str, Any]) -> None:
    if "refused" in case:
        assert (reply.status, reply.param) == (400, case["refused"]), reply.body
        check_error(reply)
        assert gate.upstream.requests == []
        return
    assert reply.status == 200, reply.body
    seen = gate.upstream.body
    assert {key: seen.get(key) for key in case.get("passes", {})} == case.get("passes", {})
    assert not seen.keys() & set(case.get("absent", []))


@pytest.mark.parametrize("case", load("chat"))
async def test_a_chat_field(gate: Gate, case: dict[str, Any]) -> None:
    check(gate, await gate.complete(path=CHAT, body=case.get("body")), case)


@pytest.mark.parametrize("case", load("completions"))
async def test_a_completion_field(gate: Gate, case: dict[str, Any]) -> None:
    check(gate, await gate.complete(path=COMPLETIONS, body=case.get("body")), case)


@pytest.mark.parametrize("case", load("messages"))
async def test_a_chats_messages(gate: Gate, case: dict[str, Any]) -> None:
    reply = await gate.complete(path=CHAT, body={"messages": case["messages"]})
    if case.get("refused"):
        assert (reply.status, reply.param) == (400, "messages"), reply.body
        check_error(reply)
        assert gate.upstream.requests == []
    else:
        assert reply.status == 200, reply.body
        assert gate.upstream.body["messages"] == case["messages"]


@pytest.mark.parametrize("case", load("schemas"))
async def test_a_constraint(make_gate: MakesGate, case: dict[str, Any]) -> None:
    gate = make_gate(max_body=case.get("max_body", 65536))
    field, value = case.get("field", "response_format"), case.get("value")
    if "schema" in case:
        value = {"type": "json_schema", "json_schema": {"name": "x", "schema": case["schema"]}}
    reply = await gate.complete(path=CHAT, body={field: value})
    if "refused" not in case:
        assert reply.status == 200, reply.body
        assert gate.upstream.body[field] == value
        return
    assert reply.status == 400, reply.body
    assert case["refused"] in reply.error["message"]
    assert reply.param in (field, None)
    check_error(reply)
    assert gate.upstream.requests == []


@pytest.mark.parametrize("case", load("bodies"))
async def test_a_body(gate: Gate, case: dict[str, Any]) -> None:
    piece, often = case.get("repeat", ["", 0])
    text = case.get("body", "") + piece * often + case.get("end", "")
    raw = bytes.fromhex(case["hex"]) if "hex" in case else text.encode()
    reply = await gate.complete(chunks=[raw])
    assert reply.status == case["status"], reply.body
    if reply.status == 200:
        assert gate.upstream.body["model"] == "tiny"
        assert gate.upstream.body.get("n", 2) == 2
    else:
        assert reply.code == case["code"], reply.body
        check_error(reply)
        assert gate.upstream.requests == []


async def test_what_goes_to_the_release_is_written_anew(gate: Gate) -> None:
    await gate.complete(headers=[("x-secret", "1"), ("host", "evil"), ("cookie", "a=b")])
    _, request = gate.upstream.requests[-1]
    assert {name for name, _ in request.headers} == {"content-type", "x-request-id"}
    assert gate.key not in repr(request)


def length(value: str) -> tuple[str, str]:
    return "content-length", value


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([length("65537")], 413),
        ([length("9" * 5000)], 413),
        ([length("-1")], 400),
        ([length("1e3")], 400),
        ([length("0x10")], 400),
        ([length("٣")], 400),
        ([length("")], 400),
        ([length("5"), length("6")], 400),
        ([length("5"), length("5")], 200),
        ([length("5"), ("transfer-encoding", "chunked")], 400),
        ([("transfer-encoding", "chunked")], 200),
        ([], 200),
    ],
)
async def test_a_length_is_stated_once_and_kept(
    gate: Gate, headers: list[tuple[str, str]], status: int
) -> None:
    raw = [(name, value.encode()) for name, value in headers]
    reply = await gate.complete(headers=raw)
    assert reply.status == status, reply.body


async def test_a_body_in_chunks_is_bounded_too(gate: Gate) -> None:
    assert (await gate.complete(chunks=[b" " * 1000] * 66)).status == 413
    assert (await gate.complete(chunks=[b" " * 65537])).status == 413
    assert gate.upstream.requests == []


async def test_a_body_that_does_not_end_is_given_up(make_gate: MakesGate) -> None:
    gate = make_gate(body_deadline=0.05)
    reply = await gate.ask("POST", COMPLETIONS, chunks=[])
    assert reply.status == 408
    assert reply.headers["connection"] == "close"


async def test_a_client_that_leaves_amid_its_body_is_noted(gate: Gate) -> None:
    reply = await gate.ask("POST", COMPLETIONS, chunks=[], hangs_up_after=0)
    assert reply.status == 0
    assert gate.lines()[-1]["reason"] == "client_gone"
    assert gate.lines()[-1]["status"] == 499
