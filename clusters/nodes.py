"""A cluster's nodes: what they have, what is free, what of ours is on them; cordoned and released.

Only a node's mark of being unschedulable is ever changed here, which is what `kubectl cordon` does.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clusters import names
from clusters.facts import GPU_NAME, Requests, requested
from clusters.model import Manifest
from clusters.occupants import is_ours, on_node, role_of
from clusters.ports import Reader, Writer
from clusters.quantities import whole
from clusters.trouble import Forbidden
from llmops.errors import InputError

GPU = "/gpu"
"""How the extended resources of whole GPUs end, whoever makes them: `nvidia.com/gpu`."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node, for a person; sizes in bytes."""

    name: str
    ready: bool
    schedulable: bool
    """Whether it takes new pods: it is not cordoned."""
    gpus: int
    gpus_used: int
    gpu: str
    """What the node's labels call its GPU; empty without one."""
    memory: int
    memory_free: int
    """What pods have not requested."""
    pods: Mapping[str, Mapping[str, int]]
    """Our pods: how many of each role, by `namespace/service`."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of every namespace that may be looked into."""

    found: tuple[Manifest, ...]
    whole: bool
    """Whether these are all pods of the cluster."""


def view(node: Manifest, pods: Iterable[Manifest]) -> NodeView:
    """A node as it is with these pods, of which those of other nodes do not count."""
    name = node["metadata"]["name"]
    here = on_node(name, pods)
    taken: Requests = requested(here).get(name, {})
    has = node.get("status", {}).get("allocatable", {})
    gpus = [resource for resource in has if resource.endswith(GPU)]
    memory = whole(has.get("memory", 0))
    return NodeView(
        name=name,
        ready=is_ready(node),
        schedulable=not node["spec"].get("unschedulable", False),
        gpus=sum(whole(has[resource]) for resource in gpus),
        gpus_used=sum(int(taken.get(resource, 0)) for resource in gpus),
        gpu=(node["metadata"].get("labels") or {}).get(GPU_NAME, ""),
        memory=memory,
        memory_free=max(0, memory - int(taken.get("memory", 0))),
        pods=_ours(here),
    )


def is_ready(node: Manifest) -> bool:
    """Whether its kubelet says that it is ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _ours(here: Iterable[Manifest]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for pod in filter(is_ours, here):
        metadata = pod["metadata"]
        service = f"{metadata['namespace']}/{metadata['labels'][names.SERVICE]}"
        counts.setdefault(service, Counter())[role_of(pod)] += 1
    return {service: dict(sorted(roles.items())) for service, roles in sorted(counts.items())}


class Nodes:
    """The nodes of one cluster."""

    def __init__(self, client: Writer, own: str) -> None:
        """`own` is the namespace that this user may look into if no other."""
        self._client = client
        self._own = own

    def views(self) -> tuple[tuple[NodeView, ...], bool]:
        """Every node by name; and whether all pods could be counted.

        Raises:
            Forbidden: When this user may not list nodes.
        """
        nodes, pods = self._client.list("Node"), all_pods(self._client, self._own)
        found = sorted((view(node, pods.found) for node in nodes), key=lambda one: one.name)
        return tuple(found), pods.whole

    def find(self, name: str) -> Manifest:
        """One node.

        Raises:
            InputError: When there is none of that name; names the ones that are near.
        """
        found = self._client.get("Node", name)
        if found is not None:
            return found
        known = sorted(node["metadata"]["name"] for node in self._client.list("Node"))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        more = f", and {len(known) - 5} others" if len(known) > 5 else ""
        there = f"there are: {', '.join(known[:5]) or 'none'}{more}"
        raise InputError(
            f"{self._client.context} has no node '{name}'",
            hint=f"did you mean {' or '.join(near)}?" if near else there,
        )

    def cordon(self, name: str) -> bool:
        """Have the node take no new pods; whether it did before."""
        return self._mark(name, unschedulable=True)

    def uncordon(self, name: str) -> bool:
        """Have the node take pods again; whether it did not before."""
        return self._mark(name, unschedulable=False)

    def _mark(self, name: str, *, unschedulable: bool) -> bool:
        node = self.find(name)
        if bool(node["spec"].get("unschedulable")) == unschedulable:
            return False
        patch = {"spec": {"unschedulable": True if unschedulable else None}}
        self._client.patch_merge("Node", name, "", patch)
        return True


def all_pods(client: Reader, own: str) -> Pods:
    """The pods of the whole cluster, or of those namespaces that this user may look into."""
    try:
        return Pods(tuple(client.list("Pod")), whole=True)
    except Forbidden:
        found: list[Manifest] = []
        for namespace in _namespaces(client, own):
            try:
                found += client.list("Pod", namespace)
            except Forbidden:  # somebody else's: what is in there is told to be unknown
                continue
        return Pods(tuple(found), whole=False)


def _namespaces(client: Reader, own: str) -> list[str]:
    try:
        return [one["metadata"]["name"] for one in client.list("Namespace")]
    except Forbidden:
        return [own]
