"""What goes with a service's last release: everything but its history, and the lock that guards it.

The order keeps a killed run harmless: what clients reach goes first, then what runs, then what it
needed. What is left after a kill is found by its labels, and the next run takes it away.
"""

from __future__ import annotations

from clusters import names
from clusters.model import Manifest
from clusters.ports import Writer
from clusters.steps import Steps
from clusters.trouble import Forbidden
from llmops.events import Flow

KINDS = (
    "HTTPRoute", "Ingress", "Certificate", "Service", "PodMonitor", "PrometheusRule",
    "PodDisruptionBudget", "NetworkPolicy", "LocalQueue", "ResourceQuota", "RoleBinding", "Role",
    "ServiceAccount", "PersistentVolumeClaim", "Secret",
)  # fmt: skip
"""Kinds of a namespace that a service may have, in the order in which they go."""


ALWAYS = frozenset({"NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount"})
"""Kinds that every service has: whoever may not see them cannot say that nothing is left."""


def retire(client: Writer, namespace: str, steps: Steps, service: str) -> Flow[None]:
    """Take away all that is left of the service but its ConfigMap of releases and its Lease.

    Raises:
        Forbidden: When this user may not see or delete what a service always has.
    """
    for runtime in steps.live().runtimes:
        yield from steps.delete_runtime(runtime)
    for kind in KINDS:
        for found in _ours(client, kind, namespace, service):
            client.delete(kind, found["metadata"]["name"], namespace)
    for found in _ours(client, "PriorityClass", "", service):
        if str(found["metadata"]["name"]).startswith(f"llmops-{namespace}-{service}-"):
            client.delete("PriorityClass", found["metadata"]["name"])


def _ours(client: Writer, kind: str, namespace: str, service: str) -> list[Manifest]:
    labels = {names.MANAGED_BY: names.MANAGER, names.SERVICE: service}
    try:
        return client.list(kind, namespace, labels) if client.serves(kind) else []
    except Forbidden:
        if kind in ALWAYS:
            raise
        # Whoever may not see one of the others has made none of it for the service.
        return []
