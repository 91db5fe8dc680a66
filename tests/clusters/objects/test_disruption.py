"""What evictions and quotas leave: every pod that the service needs."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.model import ServiceState
from clusters.objects.sizes import AUTOSCALER, GATEWAY, GIB, HEAD, quantity
from tests.clusters.objects import states
from tests.clusters.objects.made import found, of_kind, with_target


def _least(state: ServiceState, role: str) -> int:
    return int(found(state, "PodDisruptionBudget", f"-{role}")["spec"]["minAvailable"])


@pytest.mark.parametrize(("gateways", "kept"), [(1, 1), (2, 1), (3, 2), (32, 31)])
def test_one_gateway_may_go_when_another_answers(gateways: int, kept: int) -> None:
    state = with_target(states.state("minimal"), gateways=gateways)
    assert _least(state, "gateway") == kept


def test_no_replica_that_is_needed_may_go() -> None:
    assert _least(states.state("production"), "replica") == 2
    assert _least(states.state("autoscaled"), "replica") == 1, "the lowest number of a range"


def test_the_head_may_go_only_when_redis_keeps_its_state() -> None:
    assert _least(states.state("minimal"), "head") == 1
    assert of_kind(states.state("production"), "PodDisruptionBudget", "-head") == []


@pytest.mark.parametrize("name", states.names())
def test_budgets_are_numbers_to_keep(name: str) -> None:
    """`maxUnavailable` needs an owner with a scale, which a RayCluster is not."""
    for budget in of_kind(states.state(name), "PodDisruptionBudget"):
        assert isinstance(budget["spec"]["minAvailable"], int)
        assert "maxUnavailable" not in budget["spec"]


def test_no_pod_is_in_two_budgets() -> None:
    """The API refuses to evict one that is."""
    budgets = of_kind(states.state("update"), "PodDisruptionBudget")
    chosen = [str(budget["spec"]["selector"]) for budget in budgets]
    assert len(chosen) == 6
    assert len(set(chosen)) == 6


def test_another_priority_is_another_class_because_none_may_change_its_value() -> None:
    classes = of_kind(states.state("update"), "PriorityClass")
    assert {c["metadata"]["name"]: c["value"] for c in classes} == {
        "llmops-models-chat-100": 100,
        "llmops-models-chat-200": 200,
    }


def test_a_priority_below_zero_has_a_name_too() -> None:
    state = with_target(states.state("minimal"), priority=-5)
    assert found(state, "PriorityClass")["metadata"]["name"] == "llmops-default-chat-minus-5"


def _hard(state: ServiceState) -> Any:
    return found(state, "ResourceQuota")["spec"]["hard"]


def test_the_quota_is_twice_what_the_highest_number_needs() -> None:
    """A head, three gateways, and two replicas of 16 cores, 128 GiB and 4 GPUs each; twice."""
    cores = str(2 * (HEAD.cores + 3 * GATEWAY.cores + 2 * 16))
    memory = quantity(2 * (HEAD.memory + 3 * GATEWAY.memory + 2 * 128 * GIB))
    assert _hard(states.state("production")) == {
        "pods": "12",
        "requests.cpu": cores,
        "requests.memory": memory,
        "limits.cpu": cores,
        "limits.memory": memory,
        "requests.nvidia.com/gpu": "16",
        "requests.rdma/hca_shared_devices_a": "16",
    }


def test_the_quota_counts_the_highest_number_of_a_range_and_the_autoscaler() -> None:
    state = with_target(states.state("autoscaled"), quota=True, priority=1)
    hard = _hard(state)
    assert hard["requests.nvidia.com/gpu"] == "8"
    assert hard["pods"] == "12"
    assert hard["requests.cpu"] == str(2 * (HEAD.cores + AUTOSCALER.cores + GATEWAY.cores + 4 * 4))


def test_during_an_update_the_larger_runtime_decides_and_both_classes_count() -> None:
    quota = found(states.state("update"), "ResourceQuota")["spec"]
    assert quota["hard"]["pods"] == "10"
    (chosen,) = quota["scopeSelector"]["matchExpressions"]
    assert chosen["values"] == ["llmops-models-chat-100", "llmops-models-chat-200"]


def test_without_a_wish_there_is_neither_class_nor_quota() -> None:
    state = states.state("minimal")
    assert of_kind(state, "PriorityClass") == of_kind(state, "ResourceQuota") == []
