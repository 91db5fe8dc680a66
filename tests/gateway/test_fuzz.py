"""Whatever is sent: no 500, no traceback, always OpenAI's shape, and no way past the key."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.fields import COUNTS, FIELDS, TOKENS
from serving.gateway.messages import PART_FIELDS
from tests.gateway.fakes import CHAT, COMPLETIONS, LIMITS, Gate, Reply

BUSY = settings(max_examples=100, deadline=None)
ROUTES = [CHAT, COMPLETIONS]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**40, 0, -1]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["tiny", "other", "\0", "\ud800", "#", "http://127.0.0.1/", "x" * 600]),
)
KEYS = sorted(
    {*FIELDS[CHAT], *FIELDS[COMPLETIONS], *COUNTS[COMPLETIONS], *TOKENS[CHAT]}
    | set("role content type text tool_calls function arguments schema json_schema".split())
    | set("json regex properties pattern $ref minProperties maxLength grammar".split())
    | set("prompt_embeds chat_template image_url".split())
)  # fmt: skip
names = st.one_of(st.sampled_from(KEYS), st.text(max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
documents = st.fixed_dictionaries(
    {"model": st.just("tiny") | values},
    optional={name: values for name in KEYS if name != "model"},
)
messages = st.lists(
    st.dictionaries(st.sampled_from("role content tool_calls name".split()), values, max_size=4)
)
plausible = st.builds(
    lambda document, chat, prompt, route: (
        route,
        document | ({"messages": chat} if route == CHAT else {"prompt": prompt}),
    ),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=3).map(lambda d: d | {"model": "tiny"}),
    messages,
    values,
    st.sampled_from(ROUTES),
)


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """One gateway for all examples; nothing that they do may change it."""
    with tempfile.TemporaryDirectory() as home:
        made = Gate(Path(home), requests_per_minute=10**9)
        yield made
        made.audit.close()


def check(reply: Reply) -> None:
    assert reply.status in range(200, 500), reply.body
    assert b"Traceback" not in reply.body
    assert reply.headers["x-request-id"]
    if reply.status != 200:
        error = reply.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert len(reply.body) < 4000


def check_reached(gate: Gate, route: str) -> None:
    """What reached the release is within bounds, whatever was sent."""
    seen = gate.upstream.body
    assert seen["model"] == "tiny"
    allowed = {*FIELDS[route], *COUNTS[route], *TOKENS[route]}
    assert seen.keys() <= allowed
    for field, rule in FIELDS[route].items():
        assert field not in seen or field == "stream_options" or rule.holds(seen[field]), field
    assert 1 <= seen.get("n", 1) <= LIMITS["max_choices"]
    assert 0 <= seen.get("max_tokens", 0) <= LIMITS["max_tokens"]
    for message in seen.get("messages", []):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        assert content is None or isinstance(content, (str, list))
        assert all(isinstance(part, str) or part.keys() <= PART_FIELDS for part in parts)
    json.loads(gate.upstream.requests[-1][1].body, parse_constant=pytest.fail)


def send(gate: Gate, route: str, raw: bytes) -> Reply:
    gate.upstream.requests.clear()
    reply = asyncio.run(gate.complete(path=route, chunks=[raw]))
    check(reply)
    assert (reply.status == 200) == bool(gate.upstream.requests)
    if gate.upstream.requests:
        check_reached(gate, route)
    return reply


@BUSY
@given(st.sampled_from(ROUTES), st.binary(max_size=200))
def test_any_bytes(gate: Gate, route: str, raw: bytes) -> None:
    send(gate, route, raw)


@BUSY
@given(st.sampled_from(ROUTES), documents)
def test_any_fields(gate: Gate, route: str, document: Any) -> None:
    send(gate, route, json.dumps(document).encode())


@BUSY
@given(plausible)
def test_fields_that_could_be_right(gate: Gate, request_: tuple[str, Any]) -> None:
    route, document = request_
    send(gate, route, json.dumps(document).encode())


@BUSY
@given(st.sampled_from(["tools", "response_format", "structured_outputs"]), values)
def test_any_constraint(gate: Gate, field: str, value: Any) -> None:
    document = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], field: value}
    send(gate, CHAT, json.dumps(document).encode())


paths = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"/v1/models", b"/v1/completions", b"/health/", b"/v1/models/tiny"]),
    st.lists(
        st.sampled_from([b"/", b"v1", b"models", b"..", b"%2f", b"?", b"#", b"health", b"\xff"]),
        max_size=8,
    ).map(b"".join),
)
methods = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "get", "", "\x00", "X" * 99])
header_names = st.one_of(
    st.sampled_from(
        [b"host", b"authorization", b"content-length", b"transfer-encoding", b"llmops-release",
         b"x-forwarded-for", b"expect", b"upgrade"]
    ),
    st.binary(max_size=12),
)  # fmt: skip
headers = st.lists(st.tuples(header_names, st.binary(max_size=40)), max_size=6)


@BUSY
@given(methods, paths, headers, st.binary(max_size=40))
def test_any_path_and_headers_without_a_key(
    gate: Gate, method: str, path: bytes, sent: list[tuple[str | bytes, str | bytes]], body: bytes
) -> None:
    gate.upstream.requests.clear()
    reply = asyncio.run(gate.ask(method, path, key="", headers=sent, chunks=[body]))
    assert gate.upstream.requests == []
    if path.split(b"?")[0] == b"/health":
        assert reply.status in (405, 503)
    else:
        assert reply.status == 401


@BUSY
@given(methods, paths, headers, st.binary(max_size=40))
def test_any_path_and_headers_with_a_key(
    gate: Gate, method: str, path: bytes, sent: list[tuple[str | bytes, str | bytes]], body: bytes
) -> None:
    gate.upstream.requests.clear()
    reply = asyncio.run(gate.ask(method, path, headers=sent, chunks=[body]))
    assert reply.status in (200, 400, 401, 404, 405, 408, 413, 503), reply.body
    assert gate.upstream.requests == [], "a body that is no request reached the release"
    assert reply.headers["x-request-id"]
    if reply.status not in (200, 503) and method != "HEAD":
        assert reply.error.keys() == {"message", "type", "param", "code"}
