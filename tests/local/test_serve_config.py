"""What Ray Serve is told, by value; and Serve's own schema takes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.serve.config import RequestRouterConfig

from llmops.releases import State
from serving.gateway import GatewayConfig
from serving.runtime.sessions import SessionRouter
from serving.serve_config import (
    GATEWAY,
    RuntimeSettings,
    application_name,
    render,
    routes,
)
from tests.local.releases import release

GOLDEN = Path(__file__).parents[1] / "cases" / "serve" / "two-services.yaml"
SETTINGS = RuntimeSettings(home="/state", host="127.0.0.1", port=8000, metrics_port=9000)
OLD = release("chat", 3, security={"max_tokens": 512})
NEW = release("chat", 4, scaling={"replicas": "1..4", "target_in_flight": 8})
OTHER = release("search", 1, maintenance={"drain": "20s"}, engine={"args": {"seed": 1}})
RELEASES = (OTHER, NEW, OLD)
SHARES = {("chat", 3): 100, ("search", 1): 100}


def rendered() -> dict[str, Any]:
    return render(RELEASES, routes(RELEASES, SHARES, "keys-7"), SETTINGS, 12)


def applications() -> dict[str, Any]:
    return {app["name"]: app for app in rendered()["applications"]}


def deployment_of(name: str) -> dict[str, Any]:
    [deployment] = applications()[name]["deployments"]
    found: dict[str, Any] = deployment
    return found


def test_the_whole_config_is_as_recorded() -> None:
    assert rendered() == yaml.safe_load(GOLDEN.read_text()), (
        f"the rendered config differs from {GOLDEN.name}; if that is meant, change the file"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, of pydantic
def test_serves_own_schema_takes_it() -> None:
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(rendered())
    assert next(app.name for app in schema.applications) == GATEWAY


def test_the_gateway_comes_first_and_every_release_is_there() -> None:
    assert list(applications()) == [GATEWAY, "chat-r3", "chat-r4", "search-r1"]


def test_no_release_has_a_route_and_serves_own_proxy_is_off() -> None:
    assert rendered()["proxy_location"] == "Disabled"
    assert {app["route_prefix"] for app in applications().values()} == {None}


def test_the_gateway_parses_its_table_and_knows_the_generation() -> None:
    table = GatewayConfig.parse(deployment_of(GATEWAY)["user_config"])
    assert (table.generation, table.keys_version) == (12, "keys-7")
    chat = table.services["chat"]
    assert [(share.release, share.share) for share in chat.releases] == [(3, 100), (4, 0)]


def test_the_limits_are_those_of_the_release_that_has_the_traffic() -> None:
    before = GatewayConfig.parse(routes(RELEASES, SHARES, "k") | {"generation": 1})
    assert before.services["chat"].limits.max_tokens == 512
    shifted = routes(RELEASES, {("chat", 4): 100}, "k") | {"generation": 2}
    assert GatewayConfig.parse(shifted).services["chat"].limits.max_tokens == 4096


def test_a_service_that_is_only_staged_has_limits_too() -> None:
    table = GatewayConfig.parse(routes([OLD], {}, "k") | {"generation": 1})
    assert table.services["chat"].limits.max_tokens == 512
    assert table.services["chat"].context == 8192


def test_serve_is_told_nothing_that_its_schema_drops() -> None:
    schema = pytest.importorskip("ray.serve.schema").DeploymentSchema
    for name in (GATEWAY, "chat-r3", "chat-r4", "search-r1"):
        assert deployment_of(name).keys() <= schema.model_fields.keys()


def test_the_table_tells_with_how_many_replicas_a_release_begins_while_it_is_on_its_way() -> None:
    coming = replace(NEW, state=State.STAGING, begins=3)
    told = routes([OLD, coming], SHARES, "k")["services"]["chat"]["releases"]
    assert told == [{"release": 3, "share": 100}, {"release": 4, "share": 0, "begins": 3}]
    GatewayConfig.parse(routes([OLD, coming], SHARES, "k") | {"generation": 1})
    come = routes([OLD, replace(coming, state=State.LIVE)], SHARES, "k")
    assert come["services"]["chat"]["releases"][1] == {"release": 4, "share": 0}


def test_a_release_whose_number_is_fixed_begins_with_that() -> None:
    coming = replace(OLD, state=State.STAGING, begins=3)
    assert routes([coming], {}, "k")["services"]["chat"]["releases"] == [{"release": 3, "share": 0}]


def test_what_a_release_begins_with_is_no_part_of_its_own_config() -> None:
    coming = replace(NEW, state=State.STAGING, begins=3)
    config = render([coming], routes([coming], {}, "k"), SETTINGS, 1)
    assert config["applications"][1] == applications()["chat-r4"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, of pydantic
def test_where_sessions_stay_the_gateway_and_serves_handles_are_told() -> None:
    keeps = release("chat", 4, routing={"affinity": "header"})
    table = routes([OLD, keeps], {("chat", 3): 90, ("chat", 4): 10}, "k")
    assert GatewayConfig.parse(table | {"generation": 1}).services["chat"].affinity == "header"
    _, old, new = render([OLD, keeps], table, SETTINGS, 1)["applications"]
    told = new["deployments"][0]["request_router_config"]
    assert RequestRouterConfig(**told).get_request_router_class() is SessionRouter
    assert told["request_router_kwargs"] == {"at_once": keeps.plan.limits.in_flight}
    assert "request_router_config" not in old["deployments"][0]


def test_the_gateway_is_told_of_shadows_while_the_release_has_traffic_that_asks_for_them() -> None:
    asks = release(
        "chat", 4, routing={"shadow": 5}, maintenance={"strategy": "canary"}
    )  # fmt: skip
    shared = routes([OLD, asks], {("chat", 3): 90, ("chat", 4): 10}, "k") | {"generation": 1}
    assert GatewayConfig.parse(shared).services["chat"].shadow == 5
    back = routes([OLD, asks], {("chat", 3): 100}, "k") | {"generation": 2}
    assert GatewayConfig.parse(back).services["chat"].shadow == 0


def test_affinity_is_that_of_the_release_with_the_traffic() -> None:
    keeps = release("chat", 3, routing={"affinity": "key"})
    before = routes([keeps, NEW], SHARES, "k")["services"]["chat"]
    after = routes([keeps, NEW], {("chat", 4): 100}, "k")["services"]["chat"]
    assert before["affinity"] == "key"
    assert "affinity" not in after


def test_replicas_are_a_number_or_a_range_with_its_aim() -> None:
    assert deployment_of("chat-r3")["num_replicas"] == 1
    scaling = deployment_of("chat-r4")["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (1, 4)
    assert scaling["target_ongoing_requests"] == 8
    assert "num_replicas" not in deployment_of("chat-r4")


def test_a_replica_may_finish_what_it_has_begun_for_as_long_as_the_plan_says() -> None:
    assert deployment_of("chat-r3")["graceful_shutdown_timeout_s"] == 300
    assert deployment_of("search-r1")["graceful_shutdown_timeout_s"] == 20


def test_a_replica_on_gpus_has_them_for_itself() -> None:
    on_gpus = release("big", 1, gpu=True, parallelism={"tensor": 1})
    config = render([on_gpus], routes([on_gpus], {}, "k"), SETTINGS, 1)
    [_, app] = config["applications"]
    assert app["deployments"][0]["ray_actor_options"] == {"num_cpus": 0, "num_gpus": 1}
    assert deployment_of("chat-r3")["ray_actor_options"] == {"num_cpus": 0, "num_gpus": 0}


def test_the_gateway_is_told_of_a_certificate_only_where_there_is_one() -> None:
    tls = ("/etc/llm/server.pem", "/etc/llm/server-key.pem")
    config = render([], routes([], {}, "k"), replace(SETTINGS, tls=tls), 1)
    assert config["applications"][0]["args"]["tls"] == list(tls)
    assert "tls" not in applications()[GATEWAY]["args"]


def test_no_secret_and_no_key_hash_is_in_it() -> None:
    text = json.dumps(rendered())
    assert "keys-7" in text
    for word in ("hash", "secret", "token_file", "Bearer", '"keys"', "llmops-0"):
        assert word not in text


def test_the_config_is_plain_data_and_does_not_depend_on_the_order_of_releases() -> None:
    assert json.loads(json.dumps(rendered())) == rendered()
    again = render(RELEASES[::-1], routes(RELEASES[::-1], SHARES, "keys-7"), SETTINGS, 12)
    assert again == rendered()


def test_nothing_live_is_a_gateway_that_serves_nothing() -> None:
    config = render([], routes([], {}, "k"), SETTINGS, 1)
    [app] = config["applications"]
    assert app["deployments"][0]["user_config"] == {
        "keys_version": "k", "services": {}, "generation": 1,
    }  # fmt: skip


names = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.integers(1, 999)), unique=True, min_size=2, max_size=6))
def test_no_two_releases_share_an_application(pairs: list[tuple[str, int]]) -> None:
    made = [application_name(*pair) for pair in pairs]
    assert len(set(made)) == len(made)
    assert GATEWAY not in made


@pytest.mark.parametrize("share", [0, 100])
def test_every_release_is_in_the_table_with_its_share(share: int) -> None:
    table = routes([OLD], {("chat", 3): share}, "k")
    assert table["services"]["chat"]["releases"] == [{"release": 3, "share": share}]
