"""The Ray clusters that nobody runs: which pods a simulated Serve sees, and when it starts anew.

It is not Ray. A pod that is Ready is a node with the resources that its group declares. The head's
pod holds Serve's state: another head without an external Redis (`gcsFaultToleranceOptions`) knows
nothing of before. It leaves out CPUs, GPUs, the object store, the autoscaler, and everything that
nodes say to one another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.standin.objects import GROUP, NODE_TYPE
from tests.kubernetes.standin.serve import Node, Serve
from tests.kubernetes.standin.status import is_ready

Object = dict[str, Any]
ENDED = ("Failed", "Succeeded")
"""Phases of pods that come to nothing more."""


@dataclass(eq=False)
class RayCluster:
    """One cluster: its Serve, and what Serve was told last."""

    head: str = ""
    """Uid of the head's pod."""
    serve: Serve = field(default_factory=Serve)
    config: str = ""
    """The Serve config as it was submitted last."""

    def follow_head(self, cluster: Object, pods: list[Object]) -> None:
        """Forget everything when the head is another one, and kept nothing elsewhere."""
        heads = [pod for pod in pods if pod["metadata"]["labels"][NODE_TYPE] == "head"]
        uid = heads[0]["metadata"]["uid"] if heads else self.head
        if uid == self.head:
            return
        if self.head and "gcsFaultToleranceOptions" not in cluster["spec"]:
            for app in self.serve.applications.values():
                for replica in app.replicas:
                    replica.dead = True
            self.serve = Serve()
        self.head = uid


def nodes(cluster: Object, pods: list[Object]) -> dict[str, Node]:
    """The cluster's workers as Serve sees them, by name of the pod."""
    offers = {g["groupName"]: resources(g) for g in cluster["spec"].get("workerGroupSpecs", [])}
    return {
        pod["metadata"]["name"]: Node(
            offers.get(pod["metadata"]["labels"][GROUP], {}),
            ready=is_ready(pod),
            leaving="deletionTimestamp" in pod["metadata"],
        )
        for pod in pods
        if pod["metadata"]["labels"][NODE_TYPE] == "worker"
        and pod.get("status", {}).get("phase") not in ENDED
    }


def resources(group: Mapping[str, Any]) -> dict[str, float]:
    """Custom resources of a pod of the group: of its own field, or of Ray's start parameters."""
    declared: Any = group.get("rayStartParams", {}).get("resources", "{}").strip("'")
    while isinstance(declared, str):  # KubeRay's form is a string in a string, for its shell
        declared = json.loads(declared)
    return {
        name: float(amount)
        for name, amount in {**declared, **group.get("resources", {})}.items()
        if name not in ("cpu", "memory")
    }
