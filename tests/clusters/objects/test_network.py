"""Networks in policies: what is left out of them, and what an unknown address opens."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from clusters.model import ServiceState
from clusters.objects.addresses import EVERYWHERE, METADATA, PRIVATE
from llmops.errors import InputError
from tests.clusters.objects import states
from tests.clusters.objects.made import found, of_kind, with_target


def _egress(*networks: str) -> list[dict[str, Any]]:
    state = with_target(states.state("minimal"), egress=list(networks))
    policy = found(state, "NetworkPolicy", "-weights")
    return [peer["ipBlock"] for peer in policy["spec"]["egress"][0]["to"]]


@pytest.mark.parametrize("everywhere", EVERYWHERE)
def test_the_whole_internet_is_not_the_neighbourhood(everywhere: str) -> None:
    (block,) = _egress(everywhere)
    shut = [ip_network(network) for network in block["except"]]
    for network in map(ip_network, (*METADATA, *PRIVATE)):
        if network.version == ip_network(everywhere).version:
            assert any(
                network.network_address in one and network.broadcast_address in one for one in shut
            ), network


def test_a_private_network_that_is_named_is_meant() -> None:
    assert _egress("10.1.0.0/16") == [{"cidr": "10.1.0.0/16"}]
    assert _egress("10.0.0.0/8") == [{"cidr": "10.0.0.0/8"}]


def test_metadata_inside_of_a_named_network_stays_shut() -> None:
    assert _egress("100.64.0.0/10") == [{"cidr": "100.64.0.0/10", "except": ["100.100.100.200/32"]}]
    assert _egress("fd00::/8") == [{"cidr": "fd00::/8", "except": ["fd00:ec2::254/128"]}]


@pytest.mark.parametrize("network", ["169.254.169.254/32", "169.254.0.0/16", "fd00:ec2::254/128"])
def test_a_clouds_metadata_is_refused(network: str) -> None:
    with pytest.raises(InputError, match="credentials") as caught:
        _egress(network)
    assert caught.value.path == "target.egress"


def test_no_exception_lies_outside_of_its_network() -> None:
    """The API refuses such a policy."""
    for block in _egress("0.0.0.0/0", "::/0", "10.0.0.0/8", "203.0.113.0/24", "192.0.0.0/8"):
        network: Any = ip_network(block["cidr"])
        for shut in map(ip_network, block.get("except", ())):
            assert shut != network
            assert shut.subnet_of(network)


def test_an_empty_list_of_networks_shuts_the_way_out() -> None:
    state = with_target(states.state("minimal"), egress=[])
    assert of_kind(state, "NetworkPolicy", "-weights") == []


def _redis(address: str) -> tuple[list[dict[str, Any]], int]:
    state = with_target(states.state("minimal"), redis={"address": address})
    (rule,) = found(state, "NetworkPolicy", "-redis")["spec"]["egress"]
    return rule["to"], rule["ports"][0]["port"]


def test_a_redis_is_named_as_closely_as_a_policy_can() -> None:
    assert _redis("redis://10.5.0.1:7000") == ([{"ipBlock": {"cidr": "10.5.0.1/32"}}], 7000)
    assert _redis("redis://[2001:db8::7]:7000") == (
        [{"ipBlock": {"cidr": "2001:db8::7/128"}}],
        7000,
    )
    of_namespace = {"matchLabels": {"kubernetes.io/metadata.name": "state"}}
    for name in ("redis.state.svc", "redis.state.svc.cluster.local"):
        assert _redis(f"redis://{name}:6379") == ([{"namespaceSelector": of_namespace}], 6379)
    assert _redis("redis://redis:6379") == ([{"podSelector": {}}], 6379)


def test_a_redis_with_a_name_of_the_world_is_bounded_by_its_port_and_never_metadata() -> None:
    peers, port = _redis("rediss://cache.example.com:6380")
    assert [peer["ipBlock"]["cidr"] for peer in peers] == list(EVERYWHERE)
    assert "169.254.0.0/16" in peers[0]["ipBlock"]["except"]
    assert port == 6380


def _servers(state: ServiceState) -> list[str]:
    (rule,) = found(state, "NetworkPolicy", "-autoscaler")["spec"]["egress"]
    return [peer["ipBlock"]["cidr"] for peer in rule["to"]]


def test_without_a_cluster_to_ask_the_autoscaler_still_finds_the_api_server() -> None:
    state = states.state("autoscaled")
    assert _servers(state) == ["192.0.2.10/32", "2001:db8::10/128"]
    assert _servers(replace(state, api_server=())) == list(EVERYWHERE)


@pytest.mark.parametrize("name", states.names())
def test_the_endpoint_is_open_to_the_world_only_when_it_is_exposed(name: str) -> None:
    state = states.state(name)
    (rule,) = found(state, "NetworkPolicy", "-door")["spec"]["ingress"]
    exposed = any(r.shape.target.expose.kind != "none" for r in state.runtimes)
    assert rule.get("from") == (None if exposed else [{"namespaceSelector": {}}])
