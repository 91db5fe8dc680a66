"""Sessions keep their release, shares are of sessions, and what a session is called stays here."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway import GatewayConfig, Key, UpstreamGone
from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.routing import LONGEST, Routing
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import LIMITS, FakeUpstream, Gate

ID = "conversation-41c9e0"
OLD, NEW = 3, 4
secrets = st.binary(min_size=16, max_size=64)
shares = st.integers(0, 100)


def service(new: int, affinity: str = "header") -> dict[str, Any]:
    """A service whose new release has so many percent."""
    releases = [{"release": OLD, "share": 100 - new}, {"release": NEW, "share": new}]
    return {"releases": releases, "limits": LIMITS, "context": 2048, "affinity": affinity}


def follow(gate: Gate, new: int, affinity: str = "header") -> Gate:
    services = dict.fromkeys(("tiny", "other"), service(new, affinity))
    document = {"generation": 2, "keys_version": "1", "services": services}
    gate.app.reconfigure(GatewayConfig.parse(document))
    return gate


@pytest.fixture
def gate(make_gate: MakesGate) -> Gate:
    """Half of the sessions are one release's, and half the other's."""
    return follow(make_gate(requests_per_minute=10_000), 50)


async def release_of(gate: Gate, *ids: str, key: str | None = None) -> int:
    """The release that has answered a request with these ids."""
    reply = await gate.complete(key=key, headers=[("x-session-id", one) for one in ids])
    assert reply.status == 200, reply.body
    return int(reply.headers["x-llmops-release"])


def chosen(routing: Routing, new: int, identifier: str) -> int:
    """The release of a session, where the new one has so many percent."""
    key = Key("abc", "team-a", "", 0)
    scope = {
        "type": "http", "method": "POST", "path": "/v1/completions",
        "headers": [(b"x-session-id", identifier.encode())],
    }  # fmt: skip
    exchange = Exchange(scope, _never, _never, "req-1", 0)
    exchange.session = routing.session(exchange, "tiny", key, "header")
    return routing.choose(exchange, "tiny", tables(new), key).number


@functools.cache
def tables(new: int) -> Service:
    return Service.model_validate(service(new))


async def _never(*_: Any) -> Any:
    raise AssertionError("nothing is read or sent to choose a release")


@settings(max_examples=10, deadline=None)
@given(secrets, shares)
def test_a_share_is_one_of_sessions(secret: bytes, new: int) -> None:
    count, routing = 1000, Routing(secret)
    found = Counter(chosen(routing, new, f"s{number}") for number in range(count))
    part = new / 100
    spread = 6 * (count * part * (1 - part)) ** 0.5  # by chance, once in 500 million
    assert abs(found[NEW] - count * part) <= spread


@settings(deadline=None)
@given(secrets, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), shares)
def test_a_session_has_one_release_at_all_gateways(secret: bytes, name: str, new: int) -> None:
    assert len({chosen(Routing(secret), new, name) for _ in range(3)}) == 1


@settings(deadline=None)
@given(secrets, st.integers(0, 10**9), shares, shares)
def test_a_release_whose_share_grows_only_gains_sessions(
    secret: bytes, number: int, one: int, other: int
) -> None:
    few, many = sorted((one, other))
    if chosen(Routing(secret), few, f"s{number}") == NEW:
        assert chosen(Routing(secret), many, f"s{number}") == NEW


def test_which_ids_lead_to_a_release_is_each_runtimes_own() -> None:
    ids = [f"s{number}" for number in range(200)]
    found = [
        {one for one in ids if chosen(Routing(secret), 10, one) == NEW} for secret in (b"a", b"b")
    ]
    assert all(found)
    assert len(found[0] & found[1]) <= 10, "an id that leads to it here must say nothing of there"


async def test_the_requests_of_a_session_have_one_release(gate: Gate) -> None:
    for number in range(20):
        assert len({await release_of(gate, f"s{number}") for _ in range(4)}) == 1


async def test_sessions_are_spread_over_the_releases(gate: Gate) -> None:
    assert {await release_of(gate, f"s{number}") for number in range(40)} == {OLD, NEW}


async def test_a_session_stays_when_something_else_of_the_table_changes(gate: Gate) -> None:
    before = [await release_of(gate, f"s{number}") for number in range(20)]
    follow(gate, 50)
    assert [await release_of(gate, f"s{number}") for number in range(20)] == before


async def test_a_request_without_an_id_is_for_itself(gate: Gate) -> None:
    assert {await release_of(gate) for _ in range(40)} == {OLD, NEW}
    assert {await release_of(gate, "") for _ in range(40)} == {OLD, NEW}
    assert not any(request.session for _, request in gate.upstream.requests)


async def test_without_affinity_ids_say_nothing(gate: Gate) -> None:
    follow(gate, 50, "request")
    assert {await release_of(gate, ID) for _ in range(40)} == {OLD, NEW}
    assert not any(request.session for _, request in gate.upstream.requests)


async def test_a_key_is_a_session_where_it_is_asked_for(gate: Gate) -> None:
    follow(gate, 50, "key")
    assert len({await release_of(gate, f"s{number}") for number in range(10)}) == 1
    keys = [gate.make_key("tiny", f"more-{number}")[1] for number in range(20)]
    assert {await release_of(gate, key=key) for key in keys} == {OLD, NEW}


async def test_one_id_of_two_keys_is_two_sessions(gate: Gate) -> None:
    _, key = gate.make_key("tiny", "team-z")
    for asking in (gate.key, key):
        await release_of(gate, ID, key=asking)
    assert len({request.session for _, request in gate.upstream.requests}) == 2


async def test_a_request_that_is_sent_once_more_keeps_its_session(make_gate: MakesGate) -> None:
    gate = follow(make_gate(FakeUpstream(UpstreamGone("gone"))), 50)
    await release_of(gate, ID)
    [first, second] = [(one, request.session) for one, request in gate.upstream.requests]
    assert first == second
    assert first[1]


async def test_proofs_of_a_release_are_of_no_session(gate: Gate) -> None:
    follow(gate, 50, "key")
    for number in (OLD, NEW):
        headers = [("llmops-release", str(number)), ("x-session-id", ID)]
        reply = await gate.complete(key=gate.operator_key, headers=headers)
        assert reply.headers["x-llmops-release"] == str(number)
    assert not any(request.session for _, request in gate.upstream.requests)


async def test_the_id_is_seen_nowhere_else(gate: Gate) -> None:
    await release_of(gate, ID)
    [(_, request)] = gate.upstream.requests
    assert request.session
    assert ID not in request.session
    assert ID not in str((request.headers, request.body))
    assert ID not in gate.audit_file.read_text()
    assert ID not in str(list(gate.metrics.registry.collect()))
    assert ID not in str(gate.app.state())


@pytest.mark.parametrize(
    ("ids", "about"), [(("a", "b"), "once"), (("a" * (LONGEST + 1),), str(LONGEST))]
)
async def test_an_id_that_says_nothing_clear_is_refused(
    gate: Gate, ids: tuple[str, ...], about: str
) -> None:
    reply = await gate.complete(headers=[("x-session-id", one) for one in ids])
    assert reply.status == 400
    assert "x-session-id" in reply.error["message"]
    assert about in reply.error["message"]
    assert not gate.upstream.requests
    assert await release_of(gate, "a" * LONGEST) in (OLD, NEW)
