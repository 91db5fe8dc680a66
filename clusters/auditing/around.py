"""What is around a service's pods and not of it: the namespace, and others' policies and Services.

Pure. That something is of the service and not as the release says is drift; what is here is nobody
else's to notice: NetworkPolicies add up, and any Service may choose any pod by its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from clusters import names
from clusters.model import Manifest
from llmops.policies import Finding, Severity

ENFORCE = "pod-security.kubernetes.io/enforce"
HELD = frozenset({"restricted", "baseline"})

OUTSIDE = ("LoadBalancer", "NodePort")
"""Types of Services that are reached from outside of the cluster."""


def security_of(namespace: str, level: str | None) -> Iterator[Finding]:
    """A namespace that takes any pod: whoever may make one there may take the node."""
    if level not in HELD:
        yield Finding(
            "audit.pod-security", Severity.WARN, "",
            f"namespace {namespace} does not hold pods to a Pod Security standard",
            f"Namespace/{namespace}: {ENFORCE}={level or 'not set'}",
            f"kubectl label namespace {namespace} {ENFORCE}=restricted",
        )  # fmt: skip


def foreign_policies(
    policies: Iterable[Manifest], pods: Sequence[Manifest], service: str
) -> Iterator[Finding]:
    """Others' NetworkPolicies that let something through to the service's pods, or out of them."""
    for policy in policies:
        spec, name = policy["spec"], policy["metadata"]["name"]
        ways = [way for way in ("ingress", "egress") if spec.get(way)]
        chosen = _chosen(spec.get("podSelector") or {}, pods)
        if not ways or not chosen or is_of(policy, service):
            continue
        yield Finding(
            "audit.network", Severity.WARN, "",
            f"NetworkPolicy/{name} is of others, and opens more than the service's own",
            f"its {' and '.join(ways)} rules hold for {', '.join(chosen)}",
            f"kubectl get networkpolicy {name} -o yaml; whoever made it should narrow it",
        )  # fmt: skip


def exposed_services(
    services: Iterable[Manifest], pods: Sequence[Manifest], service: str
) -> Iterator[Finding]:
    """Services that lead from outside to the service's pods, past its own."""
    for one in services:
        spec, name = one["spec"], one["metadata"]["name"]
        selector = spec.get("selector")
        chosen = _chosen({"matchLabels": selector}, pods) if selector else []
        kind = spec.get("type") if spec.get("type") in OUTSIDE else ""
        addresses = spec.get("externalIPs") or ()
        if not chosen or not (kind or addresses) or is_of(one, service):
            continue
        how = " and ".join([*([f"type {kind}"] if kind else []), *map(str, addresses)])
        ports = ", ".join(str(port.get("port")) for port in spec.get("ports") or ())
        yield Finding(
            "audit.exposure", Severity.BLOCK, "",
            f"Service/{name} leads from outside of the cluster to pods of the service",
            f"{how}, port {ports}, to {', '.join(chosen)}",
            f"kubectl delete service {name}, and find out who made it",
        )  # fmt: skip


def is_of(manifest: Manifest, service: str) -> bool:
    """Whether an object says that llmops made it for the service; if it did not, that is drift."""
    labels = manifest["metadata"].get("labels") or {}
    return (labels.get(names.MANAGED_BY), labels.get(names.SERVICE)) == (names.MANAGER, service)


def _chosen(selector: Manifest, pods: Sequence[Manifest]) -> list[str]:
    """Names of the pods that a selector chooses; a few, and how many more."""
    found = sorted(
        str(pod["metadata"]["name"])
        for pod in pods
        if selects(selector, pod["metadata"].get("labels") or {})
    )
    return found if len(found) <= 3 else [*found[:2], f"{len(found) - 2} more"]


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses what has these labels; an empty one chooses everything."""
    wanted = (selector.get("matchLabels") or {}).items()
    expressions = selector.get("matchExpressions") or ()
    return wanted <= labels.items() and all(_holds(one, labels) for one in expressions)


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    found, values = labels.get(expression["key"]), expression.get("values") or ()
    return {
        "In": found in values,
        "NotIn": found not in values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
    }[expression["operator"]]
