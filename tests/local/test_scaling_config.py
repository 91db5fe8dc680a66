"""How a range of replicas is handed to Ray Serve and to the gateway."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmops.planning import Plan, Spending
from llmops.policies.scaling import ScalingSettings
from serving.gateway import GatewayConfig
from serving.scaling_config import autoscaling_config, gateway_table, settings_of
from serving.serve_config import RuntimeSettings, render, routes
from tests.local.releases import release

SCALING: dict[str, Any] = {
    "replicas": "0..4",
    "target_in_flight": 8,
    "target_tokens_per_second": 900,
    "objective": {"ttft": "500ms", "tpot": "50ms", "percent": 95, "queue": 4},
    "warm": 1,
    "schedule": [{"window": "Mon-Fri 08:00-18:00 Europe/Berlin", "replicas": "2..4"}],
    "idle": "2min",
    "settle": "30s",
    "hold": {"requests": 7, "wait": "90s"},
}


def settings_in(config: dict[str, Any]) -> ScalingSettings:
    kwargs = json.loads(json.dumps(config["policy"]["policy_kwargs"]))
    return ScalingSettings.of(kwargs["settings"])


def test_everything_that_the_spec_says_reaches_the_decision() -> None:
    plan = release("chat", 1, scaling=SCALING).plan
    settings = settings_in(autoscaling_config(plan))
    assert settings == settings_of(plan)
    assert (settings.low, settings.high, settings.target_in_flight) == (0, 4, 8)
    assert settings.target_tokens_per_second == 900
    assert (settings.ttft, settings.tpot, settings.percent) == (0.5, 0.05, 95)
    assert (settings.queue, settings.warm) == (4, 1)
    assert (settings.idle_seconds, settings.settle_seconds) == (120, 30)
    [entry] = settings.schedule
    assert (str(entry.window), entry.low, entry.high) == (
        "Mon-Fri 08:00-18:00 Europe/Berlin", 2, 4,
    )  # fmt: skip


def test_a_release_begins_with_a_replica_though_none_may_be_left() -> None:
    config = autoscaling_config(release("chat", 1, scaling=SCALING).plan)
    assert (config["min_replicas"], config["initial_replicas"], config["max_replicas"]) == (0, 1, 4)


def test_a_schedule_may_let_all_replicas_go_at_night() -> None:
    night = {"window": "daily 22:00-06:00", "replicas": "0..1"}
    plan = release("chat", 1, scaling={"replicas": "2..4", "schedule": [night]}).plan
    config = autoscaling_config(plan)
    assert (config["min_replicas"], config["initial_replicas"]) == (0, 2)
    table = gateway_table(plan)
    assert table is not None
    assert "hold" in table


def test_the_gateway_holds_requests_of_a_service_that_may_sleep() -> None:
    live = release("chat", 1, scaling=SCALING)
    table = routes([live], {("chat", 1): 100}, "k") | {"generation": 1}
    scaling = GatewayConfig.parse(table).services["chat"].scaling
    assert scaling is not None
    assert scaling.hold is not None
    assert (scaling.hold.requests, scaling.hold.seconds) == (7, 90)
    assert (scaling.ttft, scaling.tpot) == (0.5, 0.05)


def paid(budget: float, **scaling: Any) -> Plan:
    plan = release("chat", 1, scaling=scaling).plan
    on_two = replace(plan.layout, tensor=2)
    upkeep = replace(plan.upkeep, spending=Spending(budget, 3.0, "acme"))
    return replace(plan, layout=on_two, upkeep=upkeep)


def test_a_budget_is_told_by_the_table_as_replicas_and_is_no_part_of_the_releases_config() -> None:
    plan = paid(20.0, replicas="1..4")
    assert gateway_table(plan) == {"ceiling": {"replicas": 3, "by": "acme"}}
    free = replace(plan, upkeep=replace(plan.upkeep, spending=None))
    assert gateway_table(free) == {}
    assert autoscaling_config(plan) == autoscaling_config(free)
    live = replace(release("chat", 1), plan=plan)
    GatewayConfig.parse(routes([live], {("chat", 1): 100}, "k") | {"generation": 1})


def test_a_budget_of_exactly_so_many_replicas_pays_for_all_of_them() -> None:
    for replicas in range(1, 200):
        assert Spending(0.1 * replicas, 0.1, "acme").replicas(1) == replicas
        assert Spending(0.1 * replicas - 0.01, 0.1, "acme").replicas(1) == replicas - 1


def test_the_gateway_holds_nothing_where_a_replica_is_always_left() -> None:
    assert gateway_table(release("chat", 1, scaling={"replicas": "1..4"}).plan) == {}
    assert gateway_table(release("chat", 1).plan) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # Ray's own
def test_serves_own_schema_takes_it_and_finds_our_function() -> None:
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import ServeDeploySchema

    live = release("chat", 1, scaling=SCALING)
    settings = RuntimeSettings(home="/state", host="127.0.0.1", port=8000, metrics_port=9000)
    config = render([live], routes([live], {}, "k"), settings, 1)
    ServeDeploySchema.model_validate(config)
    taken = AutoscalingConfig(**autoscaling_config(live.plan))
    policy = taken.policy.get_policy()
    assert policy(**taken.policy.policy_kwargs) is not None
    assert not taken.policy.is_default_policy_function()
