"""What an eviction, a fuller node or a quota may take of the service: never a pod that it needs.

Every budget is a number of pods to keep. A budget of what may be missing (`maxUnavailable`) needs
an owner that says how many there should be, and a RayCluster does not say that to Kubernetes.

A budget that keeps all of a runtime's pods refuses every eviction. That is meant: `llmops cluster
drain` starts the pod that takes over first, and then there is one to spare. Pods that are not ready
hold up nobody: they serve nothing that an eviction could take.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import meta_v1, policy_v1, scheduling_v1

from clusters import names
from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects import labels
from clusters.objects.about import described
from clusters.objects.documents import document

COMPONENT = "disruption"


def budgets(state: ServiceState) -> Iterator[Manifest]:
    """PodDisruptionBudgets of each runtime: its gateways, its replicas, its head.

    They are disjoint: the API refuses to evict a pod that two budgets match.
    """
    for runtime in state.runtimes:
        yield document(_gateways(state, runtime))
        if runtime.pods:
            yield document(_replicas(state, runtime))
        if not runtime.shape.target.redis:
            yield document(_head(state, runtime))


def priority_name(namespace: str, service: str, value: int) -> str:
    """Name of the service's PriorityClass of that value, which all its pods name.

    The value is part of it: the API lets no PriorityClass change its own, and an update's two
    runtimes may differ in it.
    """
    written = str(value) if value >= 0 else f"minus-{-value}"
    return f"llmops-{namespace}-{service}-{written}"


def priorities(state: ServiceState) -> Iterator[Manifest]:
    """A PriorityClass for each priority that the service's runtimes ask for."""
    for value in _priorities(state):
        yield document(_priority(state, value))


def _gateways(state: ServiceState, runtime: Runtime) -> policy_v1.PodDisruptionBudget:
    count = runtime.shape.target.gateways
    if count > 1:
        why = "One gateway at a time may be evicted; the others answer meanwhile."
    else:
        why = (
            "The only gateway is not evicted: nobody would answer meanwhile. `llmops cluster drain`"
            " starts another one first; so does `target.gateways: 2`."
        )
    return _budget(state, runtime, names.GATEWAY, max(1, count - 1), why)


def _replicas(state: ServiceState, runtime: Runtime) -> policy_v1.PodDisruptionBudget:
    why = (
        "As many replicas as the releases need at least. `llmops cluster drain` starts and verifies"
        " another one before it evicts one of these."
    )
    return _budget(state, runtime, names.REPLICA, runtime.pods, why)


def _head(state: ServiceState, runtime: Runtime) -> policy_v1.PodDisruptionBudget:
    """With an external Redis there is none: a new head takes over, and replicas go on serving."""
    why = (
        "A lost head takes its runtime along, since no external Redis keeps its state. To move it,"
        " another runtime has to serve first."
    )
    return _budget(state, runtime, names.HEAD, 1, why)


def _budget(
    state: ServiceState, runtime: Runtime, role: str, least: int, why: str
) -> policy_v1.PodDisruptionBudget:
    name = f"{names.rayservice(state.service, runtime.id)}-{role}"
    return policy_v1.PodDisruptionBudget(
        apiVersion="policy/v1",
        kind="PodDisruptionBudget",
        metadata=described(state, name, COMPONENT, why, runtime.id),
        spec=policy_v1.PodDisruptionBudgetSpec(
            minAvailable=least,
            selector=meta_v1.LabelSelector(
                matchLabels=labels.selector(state.service, role, runtime.id)
            ),
            unhealthyPodEvictionPolicy="AlwaysAllow",
        ),
    )


def _priorities(state: ServiceState) -> list[int]:
    wished = {runtime.shape.target.priority for runtime in state.runtimes}
    return sorted(value for value in wished if value is not None)


def _priority(state: ServiceState, value: int) -> scheduling_v1.PriorityClass:
    """An object of the whole cluster, so its name carries the namespace."""
    name = priority_name(state.namespace, state.service, value)
    return scheduling_v1.PriorityClass(
        apiVersion="scheduling.k8s.io/v1",
        kind="PriorityClass",
        metadata=labels.metadata(name, None, state.service, COMPONENT),
        description=f"Pods of the service {state.service} in the namespace {state.namespace}.",
        value=value,
        globalDefault=False,
    )
