"""The most that a service's pods may take in all: what its highest number needs, twice.

Twice, because an update runs a second runtime beside the first. A quota knows the pods of one
service among those of a namespace only by their PriorityClass, so there is none without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from lightkube.models import core_v1

from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects import sizes
from clusters.objects.about import described, leading
from clusters.objects.disruption import priority_name
from clusters.objects.documents import document

COMPONENT = "disruption"
RUNTIMES = 2
"""Runtimes at a time, during an update."""

Amounts = Counter[str]
"""How much by resource: `pods`, `cpu` in cores, `memory` in bytes, devices by their own name."""


def quota(state: ServiceState) -> Iterator[Manifest]:
    """The ResourceQuota, when the serving runtime's target wants one and has a priority."""
    runtime = leading(state)
    if runtime is None or not runtime.shape.target.quota:
        return
    classes = sorted(
        priority_name(state.namespace, state.service, r.shape.target.priority)
        for r in state.runtimes
        if r.shape.target.priority is not None
    )
    if classes:
        yield document(_quota(state, sorted(set(classes))))


def _quota(state: ServiceState, classes: list[str]) -> core_v1.ResourceQuota:
    why = "What the service needs at its highest number of replicas, twice: for an update."
    among = core_v1.ScopedResourceSelectorRequirement(
        scopeName="PriorityClass", operator="In", values=classes
    )
    return core_v1.ResourceQuota(
        apiVersion="v1",
        kind="ResourceQuota",
        metadata=described(state, state.service, COMPONENT, why),
        spec=core_v1.ResourceQuotaSpec(
            hard=_hard(state), scopeSelector=core_v1.ScopeSelector(matchExpressions=[among])
        ),
    )


def _hard(state: ServiceState) -> dict[str, str]:
    """The larger runtime decides for both: then either may be the one that is added."""
    most: Amounts = Counter()
    for runtime in state.runtimes:
        most |= _needs(runtime)
    twice = {name: RUNTIMES * amount for name, amount in most.items()}
    cores, memory = str(twice.pop("cpu")), sizes.quantity(twice.pop("memory"))
    return {
        "pods": str(twice.pop("pods")),
        "requests.cpu": cores,
        "requests.memory": memory,
        "limits.cpu": cores,
        "limits.memory": memory,
        **{f"requests.{name}": str(count) for name, count in sorted(twice.items())},
    }


def _needs(runtime: Runtime) -> Amounts:
    """Of one runtime at its highest number of replicas: head, gateways and replicas."""
    shape, target = runtime.shape, runtime.shape.target
    needs = _times(1, _of(sizes.HEAD)) + _times(target.gateways, _of(sizes.GATEWAY))
    if runtime.autoscaled:
        needs += Counter(cpu=sizes.AUTOSCALER.cores, memory=sizes.AUTOSCALER.memory)
    replica = _of(sizes.Size(shape.cores, shape.memory, shape.disk))
    if shape.gpus:
        replica[target.gpu_resource] = shape.gpus
    if target.rdma:
        replica[target.rdma.resource] += target.rdma.count
    return needs + _times(runtime.most_pods, replica)


def _of(size: sizes.Size) -> Amounts:
    return Counter(pods=1, cpu=size.cores, memory=size.memory)


def _times(count: int, amounts: Amounts) -> Amounts:
    return Counter({name: count * amount for name, amount in amounts.items()})
