"""A cluster's facts from its nodes and pods, as the scheduler counts."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.facts import cluster_facts, pod_requests
from clusters.model import Manifest
from clusters.quantities import parse
from llmops.planning import ClusterFacts
from llmops.spec import KubernetesTarget

GIB = 2**30


def node(name: str = "n1", *, ready: bool = True, **spec: Any) -> Manifest:
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
    return {
        "metadata": {"name": name, "labels": labels | spec.pop("labels", {})},
        "spec": spec,
        "status": {
            "allocatable": {
                "cpu": "63500m", "memory": "500Gi", "ephemeral-storage": "1000000000k",
                "nvidia.com/gpu": "8",
            },
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }  # fmt: skip


def pod(node_name: str, phase: str = "Running", **requests: str) -> Manifest:
    named = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    return {
        "spec": {"nodeName": node_name, "containers": [{"resources": {"requests": named}}]},
        "status": {"phase": phase},
    }


def facts(*nodes: Manifest, pods: tuple[Manifest, ...] = (), **target: Any) -> ClusterFacts:
    wanted = KubernetesTarget.model_validate({"kind": "kubernetes", **target}, strict=False)
    return cluster_facts("c", "v1.36.4", wanted, nodes, pods)


def test_what_is_free_is_what_pods_have_not_requested() -> None:
    taken = (
        pod("n1", cpu="500m", memory="100Gi", gpu="3"),
        pod("n1", phase="Succeeded", gpu="4"),
        pod("other", gpu="8"),
    )
    (found,) = facts(node(), pods=taken).nodes
    assert (found.cores, found.cores_free) == (63.5, 63.0)
    assert (found.memory, found.memory_free) == (500 * GIB, 400 * GIB)
    assert (found.gpus, found.gpus_free) == (8, 5)
    assert found.disk == 10**12
    assert (found.gpu_name, found.gpu_memory) == ("NVIDIA-H100-80GB-HBM3", 81559 * 2**20)


@pytest.mark.parametrize(
    ("found", "target", "why"),
    [
        (node(unschedulable=True), {}, "cordoned"),
        (node(ready=False), {}, "not ready"),
        (node(), {"node_selector": {"pool": "gpu"}}, "without label pool=gpu"),
        (
            node(taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}]),
            {},
            "tainted team=a",
        ),
        (node(taints=[{"key": "gone", "effect": "NoExecute"}]), {}, "tainted gone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_node_that_takes_no_pod_is_passed_over_with_the_reason(
    found: Manifest, target: dict[str, Any], why: str
) -> None:
    seen = facts(found, **target)
    assert seen.nodes == ()
    assert dict(seen.passed_over) == {why: 1}


@pytest.mark.parametrize(
    ("taint", "tolerations"),
    [
        ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, []),
        ({"key": "busy", "effect": "PreferNoSchedule"}, []),
        ({"key": "team", "value": "a", "effect": "NoSchedule"}, [{"key": "team"}]),
        (
            {"key": "team", "value": "a", "effect": "NoSchedule"},
            [{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}],
        ),
    ],
)
def test_a_tolerated_taint_is_none(taint: dict[str, str], tolerations: list[Any]) -> None:
    assert facts(node(taints=[taint]), tolerations=tolerations).nodes


def test_a_toleration_of_another_value_or_effect_does_not_help() -> None:
    taint = {"key": "team", "value": "a", "effect": "NoSchedule"}
    for toleration in (
        {"key": "team", "operator": "Equal", "value": "b"},
        {"key": "team", "effect": "NoExecute"},
    ):
        assert not facts(node(taints=[taint]), tolerations=[toleration]).nodes


def test_a_pod_requests_what_it_needs_at_its_largest_moment() -> None:
    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("250m", restartPolicy="Always"), container("4")],
        "overhead": {"cpu": "100m"},
    }
    assert pod_requests(spec)["cpu"] == pytest.approx(4.35)


def test_a_limit_without_a_request_is_one() -> None:
    spec = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}
    assert pod_requests(spec)["nvidia.com/gpu"] == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("500m", 0.5), ("1.5Gi", 1.5 * GIB), ("2k", 2000), ("1e3", 1000), ("1E", 10**18),
     ("128974848", 128974848), (".5", 0.5), ("100u", 0.0001)],
)  # fmt: skip
def test_a_quantity_is_read(text: str, value: float) -> None:
    assert float(parse(text)) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "1mi", "Gi", "1.2.3", "0x10", "1KB", "NaN", "ki"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse(text)
