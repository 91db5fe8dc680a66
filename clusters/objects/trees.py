"""All objects of a service, in the order in which they are applied.

What a pod needs comes before the pod: its identity, the policies that shut it in, its volume, its
priority. The Service and the ways to it come after the runtimes, and what watches them last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clusters.model import Manifest, ServiceState
from clusters.objects import disruption
from clusters.objects.access import access
from clusters.objects.door import door
from clusters.objects.monitoring import monitoring
from clusters.objects.network import network
from clusters.objects.queueing import queue
from clusters.objects.quota import quota
from clusters.objects.rayservice import rayservice
from clusters.objects.routes import routes
from clusters.objects.weights import claim

KINDS = (
    "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "PersistentVolumeClaim",
    "PriorityClass", "ResourceQuota", "PodDisruptionBudget", "LocalQueue", "RayService", "Service",
    "Certificate", "HTTPRoute", "Ingress", "PodMonitor", "PrometheusRule",
)  # fmt: skip
"""Every kind that a tree may hold, in the order of applying."""

RANKS: Mapping[str, int] = {kind: rank for rank, kind in enumerate(KINDS, start=1)}
"""Place of each kind in that order, from 1."""


def tree(
    state: ServiceState, serve_configs: Mapping[str, Mapping[str, Any]]
) -> tuple[Manifest, ...]:
    """Everything of the service: one object per name and kind, in the order of applying.

    Args:
        state: What should be in the cluster.
        serve_configs: Ray Serve's config of each runtime, by the runtime's id.

    Raises:
        InputError: The target wants what cannot be made, such as a route without a host name.
    """
    runtimes = (rayservice(r, state.namespace, serve_configs[r.id]) for r in state.runtimes)
    return _ordered((*_surroundings(state), *runtimes))


def surroundings(state: ServiceState) -> tuple[Manifest, ...]:
    """The same without the RayServices.

    Raises:
        InputError: As for `tree`.
    """
    return _ordered(tuple(_surroundings(state)))


def _surroundings(state: ServiceState) -> Iterator[Manifest]:
    yield from access(state)
    yield from network(state)
    yield from claim(state)
    yield from disruption.priorities(state)
    yield from quota(state)
    yield from disruption.budgets(state)
    yield from queue(state)
    yield door(state)
    yield from routes(state)
    yield from monitoring(state)


def _ordered(manifests: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    return tuple(sorted(manifests, key=lambda manifest: RANKS[manifest["kind"]]))
