"""A replica is measured through its endpoint, as a client sees it."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.errors import TargetError
from serving.client import Endpoint, Replica, measure
from serving.client.measuring import batches, prompts
from tests.client.server import Answer, Server, generate, refusal

REPLICA = Replica(replicas=1, most=2, context=512, answer=128)


def test_paces_and_readings_are_what_the_server_took(server: Server, endpoint: Endpoint) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        tokens = len(body["prompt"].split())
        return generate(body, first=0.001 * tokens, between=0.01)

    server.otherwise = answer
    told: list[tuple[str, float]] = []
    found = measure(endpoint, Replica(1, 2, 96, 4), lambda *what: told.append(what))
    assert [pace.batch for pace in found.paces] == [1, 2]
    for pace in found.paces:
        assert pace.step >= 0.009
    short, long = found.readings
    assert (short.tokens, long.tokens) == (12, 64)
    assert short.seconds >= 0.001 * 6
    assert long.seconds >= 0.001 * 32
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_clients_are_spread_over_the_replicas(server: Server, endpoint: Endpoint) -> None:
    server.otherwise = generate
    found = measure(endpoint, Replica(3, 2, 64, 2), lambda _what, _share: None)
    read, three, six = 2 * (1 + 5), 1 + 3 * 3, 1 + 3 * 6
    assert len(server.asked) == read + three + six
    assert [pace.batch for pace in found.paces] == [1, 2]


def test_a_request_that_fails_leaves_nothing_measured(server: Server, endpoint: Endpoint) -> None:
    body = {"max_tokens": 2, "prompt": "a b"}
    server.script += [generate(body), refusal(503, "busy", "overloaded")]
    server.otherwise = generate
    with pytest.raises(TargetError, match="1 of 5 requests failed: HTTP 503 overloaded") as raised:
        measure(endpoint, REPLICA, lambda _what, _share: None)
    assert raised.value.hint == "see `llmops status tiny`"


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (0, [1]), (500, [1, 2, 4, 8, 16])],
)
def test_batches_double_up_to_the_most(most: int, sizes: list[int]) -> None:
    assert list(batches(most)) == sizes


def test_prompts_fit_the_context() -> None:
    assert prompts(512) == (16, 341)
    assert prompts(131_072) == (16, 2048)
    assert prompts(48) == (6, 32)
