"""What the plan says of limits, and what the gateway reads of it."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import KeyBounds, plan_document
from llmops.releases import History, dumps, loads
from serving.gateway import GatewayConfig
from serving.serve_config import routes
from tests.local.releases import release

LIMITS: dict[str, Any] = {
    "requests_per_minute": 60,
    "max_tokens": 100_000,
    "tokens_per_minute": 40_000,
    "concurrent_requests": 8,
    "tokens_per_day": 1_000_000,
    "usd_per_month": 50,
    "prices": {"input_usd": 0.15, "output_usd": 0.6},
    "per_key": {"team-a": {"max_tokens": 90_000, "usd_per_month": 2.5}},
}


def test_what_is_not_limited_is_not_told() -> None:
    plan = release("chat", 1).plan
    limits = plan_document(plan)["limits"]
    assert limits.keys() == {
        "requests_per_minute", "max_body", "max_tokens", "max_choices", "in_flight",
    }  # fmt: skip
    table = routes([release("chat", 1)], {}, "1")
    assert table["services"]["chat"]["limits"] == limits


def test_a_replica_is_given_as_much_as_the_engine_batches() -> None:
    def in_flight(**sections: Any) -> int | None:
        return release("chat", 1, **sections).plan.limits.in_flight

    assert in_flight(engine={"args": {"max_num_seqs": 48}}) == 48
    assert in_flight(engine={"args": {"max_num_seqs": 4}}) == 16, "scaling aims at 16"
    assert in_flight(scaling={"max_in_flight": 20}) == 20
    gpu = release("chat", 1, gpu=True).plan.limits.in_flight
    assert gpu is not None
    assert gpu >= 256


def test_no_answer_is_longer_than_the_context() -> None:
    plan = release("chat", 1, security=LIMITS).plan
    context = plan.model.context.value
    assert plan.limits.max_tokens == context
    assert plan.limits.per_key["team-a"] == KeyBounds(max_tokens=int(context), usd_per_month=2.5)


def test_the_gateway_reads_what_the_plan_says() -> None:
    made = release("chat", 1, security=LIMITS)
    table = routes([made], {("chat", 1): 100}, "1")
    config = GatewayConfig.parse({"generation": 1, **table})
    limits = config.services["chat"].limits
    bounds = limits.of("team-b").bounds
    assert (bounds.tokens_per_minute, bounds.concurrent_requests) == (40_000, 8)
    assert (bounds.usd_per_month, bounds.input_usd, bounds.output_usd) == (50.0, 0.15, 0.6)
    assert limits.of("team-a").bounds.usd_per_month == 2.5
    assert limits.of("team-a").bounds.tokens_per_day == 1_000_000


def test_limits_are_read_back_from_a_record() -> None:
    made = release("chat", 1, security=LIMITS)
    [again] = loads(dumps(History("chat", (made,)))).releases
    assert again.plan.limits == made.plan.limits


@pytest.mark.parametrize("lost", ["tokens_per_minute", "per_key", "in_flight", "input_usd"])
def test_a_record_from_before_has_no_such_limit(lost: str) -> None:
    import json

    record = json.loads(dumps(History("chat", (release("chat", 1),))))
    del record["releases"][0]["plan"]["limits"][lost]
    [again] = loads(json.dumps(record)).releases
    assert not getattr(again.plan.limits, lost)
