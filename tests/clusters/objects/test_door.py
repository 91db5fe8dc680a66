"""Where clients come in: the Service, and the ways to it from outside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmops.errors import InputError
from tests.clusters.objects import states
from tests.clusters.objects.made import found, of_kind, with_target


def test_the_service_points_at_the_gateways_of_the_active_runtime() -> None:
    state = states.state("update")
    for runtime in state.runtimes:
        service = found(replace(state, active=runtime.id), "Service")
        assert service["spec"]["selector"] == {
            "llmops/service": "chat",
            "llmops/role": "gateway",
            "llmops/runtime": runtime.id,
        }


def test_before_a_release_is_verified_the_service_points_at_nothing() -> None:
    service = found(replace(states.state("minimal"), active=""), "Service")
    assert service["spec"]["selector"]["llmops/runtime"] == "none"


def test_the_ops_port_is_not_of_the_service() -> None:
    ports = found(states.state("minimal"), "Service")["spec"]["ports"]
    assert ports == [{"name": "http", "port": 8000, "protocol": "TCP", "targetPort": 8000}]


@pytest.mark.parametrize("name", ["minimal", "update"])
def test_an_endpoint_that_is_not_exposed_has_no_way_from_outside(name: str) -> None:
    for kind in ("HTTPRoute", "Ingress", "Certificate"):
        assert of_kind(states.state(name), kind) == []


def test_a_route_never_ends_a_long_answer() -> None:
    (rule,) = found(states.state("production"), "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}


@pytest.mark.parametrize(("name", "kind"), [("production", "HTTPRoute"), ("autoscaled", "Ingress")])
def test_only_the_api_is_reached_from_outside(name: str, kind: str) -> None:
    (rule,) = found(states.state(name), kind)["spec"]["rules"]
    paths = (
        [match["path"]["value"] for match in rule["matches"]]
        if kind == "HTTPRoute"
        else [path["path"] for path in rule["http"]["paths"]]
    )
    assert paths == ["/v1"]


def test_an_ingress_has_the_certificate_that_is_made_for_it() -> None:
    state = states.state("autoscaled")
    certificate, ingress = found(state, "Certificate"), found(state, "Ingress")
    (tls,) = ingress["spec"]["tls"]
    assert tls["secretName"] == certificate["spec"]["secretName"]
    assert tls["hosts"] == certificate["spec"]["dnsNames"] == ["assistant.example.com"]


def test_without_an_issuer_the_users_own_certificate_is_used() -> None:
    expose = {"kind": "ingress", "hostname": "a.example.com", "tls_secret": "mine"}
    state = with_target(states.state("minimal"), expose=expose)
    assert found(state, "Ingress")["spec"]["tls"][0]["secretName"] == "mine"
    assert of_kind(state, "Certificate") == []


@pytest.mark.parametrize(
    ("expose", "missing"),
    [
        ({"kind": "ingress"}, "hostname"),
        ({"kind": "gateway", "hostname": "a.example.com"}, "gateway"),
    ],
)
def test_what_a_route_cannot_do_without_is_named(expose: dict[str, str], missing: str) -> None:
    with pytest.raises(InputError) as caught:
        found(with_target(states.state("minimal"), expose=expose), "Service")
    assert caught.value.path == f"target.expose.{missing}"
