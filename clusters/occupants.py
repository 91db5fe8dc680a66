"""Who is on a node: our pods by service, and other people's. Pure, from pods to values.

Pods that have ended hold nothing. Those of a DaemonSet, and static ones, belong to the node itself
and stay on it, as with `kubectl drain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clusters import names
from clusters.facts import ENDED
from clusters.model import Manifest

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of the API's image of a pod that a kubelet runs from a file of its own."""


@dataclass(frozen=True, slots=True)
class Occupants:
    """The pods of one node that count."""

    ours: Mapping[tuple[str, str], tuple[Manifest, ...]] = field(repr=False)
    """By namespace and service."""
    others: tuple[str, ...]
    """Other people's pods, as `namespace/name`."""


def occupants(node: str, pods: Iterable[Manifest]) -> Occupants:
    """Who is on the node, of all pods that may be seen."""
    ours: dict[tuple[str, str], tuple[Manifest, ...]] = {}
    others = []
    for pod in on_node(node, pods):
        metadata = pod["metadata"]
        if is_ours(pod):
            key = (metadata["namespace"], metadata["labels"][names.SERVICE])
            ours[key] = (*ours.get(key, ()), pod)
        elif not _stays(pod):
            others.append(f"{metadata['namespace']}/{metadata['name']}")
    return Occupants(dict(sorted(ours.items())), tuple(sorted(others)))


def on_node(node: str, pods: Iterable[Manifest]) -> list[Manifest]:
    """The pods that hold something of the node."""
    return [pod for pod in pods if node_of(pod) == node and not has_ended(pod)]


def is_ours(pod: Manifest) -> bool:
    """Whether llmops had the pod made."""
    labels = pod["metadata"].get("labels") or {}
    return names.SERVICE in labels and labels.get(names.ROLE) in names.ROLES


def has_ended(pod: Manifest) -> bool:
    """Whether nothing of the pod runs any more."""
    return pod.get("status", {}).get("phase") in ENDED


def is_leaving(pod: Manifest) -> bool:
    """Whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def node_of(pod: Manifest) -> str:
    """The node that the pod was placed on; empty while it was not."""
    return str(pod["spec"].get("nodeName") or "")


def role_of(pod: Manifest) -> str:
    """`head`, `gateway` or `replica`."""
    return str((pod["metadata"].get("labels") or {}).get(names.ROLE, ""))


def runtime_of(pod: Manifest) -> str:
    """Id of the runtime that the pod belongs to."""
    return str((pod["metadata"].get("labels") or {}).get(names.RUNTIME, ""))


def _stays(pod: Manifest) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    mirrored = MIRROR in (pod["metadata"].get("annotations") or {})
    return mirrored or any(owner["kind"] == "DaemonSet" for owner in owners)
