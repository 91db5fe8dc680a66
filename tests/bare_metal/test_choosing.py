"""Which hosts serve, and what their network is told: on small clusters, and on any."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_metal.inventory import Cluster, hosts_of, parse_cluster
from bare_metal.placing import NoHosts, choose, hosts_needed, settings_of
from llmops.spec import BareMetalTarget, Deployment, loads

SPEC = """name: chat
model: {source: file:///weights}
target: {kind: bare_metal, cluster: /c.yaml, store: file:///srv/store}
"""


def _cluster(units: str, more: str = "gpus: {kind: H100-SXM, count: 8}\n") -> Cluster:
    return parse_cluster(f"kind: Cluster\nname: lab\n{more}units: [{units}]\n").value


def _target(count: int | str = "auto", *hosts: str) -> BareMetalTarget:
    told = {"kind": "bare_metal", "cluster": "/c.yaml", "store": "file:///s"}
    return BareMetalTarget.model_validate({**told, "count": count, "hosts": hosts})


def _deployment(more: str = "") -> Deployment:
    return loads(SPEC + more)


TWO = _cluster(
    "{name: big, hosts: 6, addresses: 10.0.0.1}, {name: small, hosts: 3, addresses: 10.0.1.1}"
)


def test_the_smallest_unit_that_has_all_of_them_is_taken() -> None:
    assert [host.name for host in choose(TWO, _target(), 2, {}).hosts] == ["small-001", "small-002"]
    assert choose(TWO, _target(), 4, {}).units == ("big",)


def test_more_than_any_unit_has_come_from_as_few_units_as_can_be() -> None:
    found = choose(TWO, _target(), 8, {})
    assert Counter(host.unit for host in found.hosts) == {"big": 6, "small": 2}


def test_an_unfit_host_is_left_out_and_named() -> None:
    found = choose(TWO, _target(), 3, {"small-002": "ECC errors"})
    assert found.units == ("big",)
    assert [(one.host, one.why) for one in found.left_out] == [("small-002", "ECC errors")]


def test_what_serves_already_stays_and_the_head_stays_the_head() -> None:
    found = choose(TWO, _target(), 3, {}, serving=("big-004", "big-002"))
    assert [host.name for host in found.hosts] == ["big-004", "big-002", "big-001"]


def test_another_head_is_taken_when_the_head_fails() -> None:
    found = choose(TWO, _target(), 2, {"big-004": "off"}, serving=("big-004", "big-002"))
    assert [host.name for host in found.hosts] == ["big-002", "big-001"]


def test_named_hosts_are_taken_in_their_order() -> None:
    found = choose(TWO, _target("auto", "small-003", "big-001"), 2, {})
    assert (found.head.name, found.workers[0].name) == ("small-003", "big-001")


def test_too_few_are_refused_with_the_reason_of_each() -> None:
    with pytest.raises(NoHosts) as refused:
        choose(TWO, _target("auto", "small-001", "small-002"), 2, {"small-002": "no answer"})
    assert "2 hosts are needed, and 1 of 2 may be taken (small-002: no answer)" in str(
        refused.value.message
    )


def test_a_name_that_is_not_there_and_a_host_without_an_address_are_refused() -> None:
    with pytest.raises(NoHosts, match="no host 'small-01'") as refused:
        choose(TWO, _target("auto", "small-01"), 1, {})
    assert refused.value.path == "target.hosts[0]"
    with pytest.raises(NoHosts, match="how a-001 is reached"):
        choose(_cluster("{name: a, hosts: 2}"), _target(), 1, {})


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ("", 1),
        ("scaling: {replicas: 3}\n", 3),
        ("scaling: {replicas: 8}\nhardware: {gpu: H100, count: 2}\n", 2),
        ("scaling: {replicas: 9}\nparallelism: {tensor: 2}\n", 3),
        ("scaling: {replicas: 1..4}\nhardware: {gpu: H100, count: 8}\n", 4),
    ],
)
def test_as_many_hosts_as_the_most_replicas_need(more: str, hosts: int) -> None:
    assert hosts_needed(_deployment(more), _target(), TWO) == hosts
    assert hosts_needed(_deployment(more), _target(7), TWO) == 7
    bare = _cluster("{name: a, hosts: 2}", more="")
    assert hosts_needed(_deployment(more), _target(), bare) == 1


@pytest.mark.parametrize(
    ("more", "hosts", "on_cpus"),
    [
        ("parallelism: {tensor: 8, pipeline: 2}\n", 2, 2),
        ("parallelism: {tensor: 8, pipeline: 2}\nscaling: {replicas: 3}\n", 6, 2),
        ("parallelism: {tensor: 4, pipeline: 2}\nscaling: {replicas: 2}\n", 2, 2),
        ("parallelism: {tensor: 1, pipeline: 4}\n", 4, 4),
    ],
)
def test_each_stage_of_a_replica_takes_a_host_of_its_own(
    more: str, hosts: int, on_cpus: int
) -> None:
    assert hosts_needed(_deployment(more), _target(), TWO) == hosts
    bare = _cluster("{name: a, hosts: 6}", more="")
    assert hosts_needed(_deployment(more), _target(), bare) == on_cpus


def test_only_declared_adapters_and_interfaces_are_used() -> None:
    told = settings_of(
        _cluster(
            "{name: a, hosts: 2}",
            "gpus: {kind: H100-SXM, count: 8}\n"
            "nics: [{device: eno1, use: management}]\n"
            "hcas: [{device: mlx5_0, rail: 1}, {device: mlx5_3, rail: 2},"
            " {device: mlx5_9, use: storage}]\n",
        )
    )
    assert told == {
        "NCCL_IB_HCA": "=mlx5_0,mlx5_3",
        "NCCL_CROSS_NIC": "0",
        "UCX_NET_DEVICES": "mlx5_0:1,mlx5_3:1",
        "NCCL_SOCKET_IFNAME": "=eno1",
        "GLOO_SOCKET_IFNAME": "eno1",
    }
    assert settings_of(_cluster("{name: a, hosts: 2}", more="")) == {}


@pytest.mark.parametrize(
    ("roce", "told"),
    [
        ("{}", {"NCCL_IB_TC": "106", "UCX_IB_TRAFFIC_CLASS": "106"}),
        (
            "{gid_index: 3, dscp: 24}",
            {
                "NCCL_IB_TC": "98", "UCX_IB_TRAFFIC_CLASS": "98",
                "NCCL_IB_GID_INDEX": "3", "UCX_IB_GID_INDEX": "3",
            },
        ),
    ],
)  # fmt: skip
def test_with_roce_packets_are_marked_and_the_address_is_the_declared_one(
    roce: str, told: dict[str, str]
) -> None:
    more = "gpus: {kind: H100-SXM, count: 8}\nnics: [{device: eno1, use: management}]\n"
    plain = settings_of(_cluster("{name: a, hosts: 2}", more))
    found = settings_of(
        _cluster("{name: a, hosts: 2}", f"{more}fabric: {{kind: roce, roce: {roce}}}\n")
    )
    assert found == plain | told


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    count=st.integers(1, 12),
    picked=st.data(),
)
def test_any_choice_is_fit_whole_and_the_same_again(
    sizes: list[int], count: int, picked: st.DataObject
) -> None:
    cluster = _cluster(
        ", ".join(
            f"{{name: u{at}, hosts: {size}, addresses: 10.0.{at}.1}}"
            for at, size in enumerate(sizes)
        )
    )
    names = [host.name for host in hosts_of(cluster)]
    unfit = dict.fromkeys(picked.draw(st.sets(st.sampled_from(names))), "ill")
    serving = picked.draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
    if len(names) - len(unfit) < count:
        with pytest.raises(NoHosts):
            choose(cluster, _target(), count, unfit, serving)
        return
    found = choose(cluster, _target(), count, unfit, serving)
    taken = [host.name for host in found.hosts]
    assert len(taken) == len(set(taken)) == count
    assert not set(taken) & set(unfit)
    assert {one.host for one in found.left_out} == set(unfit)
    well = [name for name in serving if name not in unfit][:count]
    assert taken[: len(well)] == well
    assert choose(cluster, _target(), count, unfit, taken).hosts == found.hosts
