"""What a cluster has for a service: pure, from nodes and pods to the facts that planning takes.

Only nodes that the service's pods may really be placed on count; the others are told by reason, so
that a refusal can say why there is no room. It refuses to guess: what pods have requested is taken,
whether they use it or not, as the scheduler does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from clusters.model import Manifest
from clusters.quantities import parse, whole
from llmops.planning import ClusterFacts, NodeFacts
from llmops.spec import KubernetesTarget

GPU_NAME = "nvidia.com/gpu.product"
GPU_MEMORY = "nvidia.com/gpu.memory"
"""Labels that NVIDIA's GPU feature discovery writes; the memory is in MiB."""

ENDED = ("Succeeded", "Failed")
MIB = 2**20

Requests = Mapping[str, float]


def cluster_facts(
    context: str,
    version: str,
    target: KubernetesTarget,
    nodes: Iterable[Manifest],
    pods: Iterable[Manifest],
    objects: str = "",
) -> ClusterFacts:
    """The facts of a cluster for a target.

    Args:
        context: What the kubeconfig calls it.
        version: Of its API server.
        target: Whose wishes a node must meet.
        nodes: All its nodes.
        pods: All pods of all namespaces, or those that may be seen.
        objects: Digest of what the service has in the cluster already.
    """
    taken = requested(pods)
    kept, passed = [], Counter[str]()
    for node in nodes:
        why = _why_not(node, target)
        if why:
            passed[why] += 1
        else:
            kept.append(_node(node, target, taken.get(node["metadata"]["name"], {})))
    ordered = tuple(sorted(kept, key=lambda node: node.name))
    return ClusterFacts(context, target.namespace, version, ordered, dict(passed), objects)


def requested(pods: Iterable[Manifest]) -> dict[str, Requests]:
    """What the pods of each node have requested in all, by resource; ended pods hold nothing."""
    taken: dict[str, Counter[str]] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if node and pod.get("status", {}).get("phase") not in ENDED:
            taken.setdefault(node, Counter()).update(pod_requests(pod["spec"]))
    return {node: dict(sums) for node, sums in taken.items()}


def pod_requests(spec: Mapping[str, Any]) -> dict[str, float]:
    """What one pod requests: its containers together with side-cars, or the largest of its other
    init containers where that is more, and its overhead; as the scheduler counts it."""
    running, starting = Counter[str](), Counter[str]()
    for container in spec.get("initContainers", []):
        own = _own(container)
        if container.get("restartPolicy") == "Always":
            running.update(own)
        else:
            starting |= Counter({name: value + running[name] for name, value in own.items()})
    for container in spec["containers"]:
        running.update(_own(container))
    largest = running | starting
    overhead = {name: float(parse(value)) for name, value in spec.get("overhead", {}).items()}
    largest.update(overhead)
    return {"pods": 1.0, **largest}


def _own(container: Mapping[str, Any]) -> dict[str, float]:
    resources = container.get("resources", {})
    asked = {**resources.get("limits", {}), **resources.get("requests", {})}
    return {name: float(parse(value)) for name, value in asked.items()}


def _why_not(node: Manifest, target: KubernetesTarget) -> str:
    """Why no pod of the service may be placed on the node; empty when it may."""
    if node["spec"].get("unschedulable"):
        return "cordoned"
    conditions = node.get("status", {}).get("conditions", [])
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
        return "not ready"
    labels = node["metadata"].get("labels", {})
    for key, value in target.node_selector.items():
        if labels.get(key) != value:
            return f"without label {key}={value}"
    for taint in node["spec"].get("taints", []):
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, target):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"tainted {taint['key']}{value}"
    return ""


def _tolerated(taint: Mapping[str, str], target: KubernetesTarget) -> bool:
    if taint["key"] == target.gpu_resource:
        return True
    return any(
        toleration.key == taint["key"]
        and toleration.effect in (None, taint["effect"])
        and (toleration.operator == "Exists" or toleration.value == taint.get("value", ""))
        for toleration in target.tolerations
    )


def _node(node: Manifest, target: KubernetesTarget, taken: Requests) -> NodeFacts:
    has = node.get("status", {}).get("allocatable", {})
    labels = node["metadata"].get("labels", {})
    gpu = target.gpu_resource

    def free(resource: str) -> float:
        return max(0.0, float(parse(has.get(resource, 0))) - taken.get(resource, 0.0))

    return NodeFacts(
        name=node["metadata"]["name"],
        cores=float(parse(has.get("cpu", 0))),
        memory=whole(has.get("memory", 0)),
        disk=whole(has.get("ephemeral-storage", 0)),
        gpus=whole(has.get(gpu, 0)),
        cores_free=round(free("cpu"), 3),
        memory_free=int(free("memory")),
        disk_free=int(free("ephemeral-storage")),
        gpus_free=int(free(gpu)),
        gpu_name=labels.get(GPU_NAME, ""),
        gpu_memory=_gpu_memory(labels.get(GPU_MEMORY, "")),
    )


def _gpu_memory(label: str) -> int:
    return int(label) * MIB if label.isdecimal() else 0
