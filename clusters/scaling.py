"""How many gateway and replica pods a running Ray cluster has, set on the RayCluster itself.

KubeRay carries no change of replicas from a RayService to a RayCluster that runs (its digest of the
cluster leaves them out), so they are set where Ray's own autoscaler sets them, and in the same way:
with the names of the pods that may go. Without names KubeRay would choose, and may choose one that
answers a client.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from clusters import names
from clusters.model import Manifest, Runtime
from clusters.ports import Writer
from llmops.errors import TargetError
from llmops.releases import Conflict

TRIES = 10
"""Of a write that others come before: KubeRay writes the RayCluster's status every few seconds."""


def count(raycluster: Manifest) -> int:
    """Replica pods that the Ray cluster is to have now."""
    return int(_group(raycluster, names.REPLICA).get("replicas", 0))


def scaled(raycluster: Manifest, runtime: Runtime, leaving: Sequence[str]) -> Manifest:
    """The RayCluster as it should be for what the runtime runs; the same object when it is so.

    Gateways are only ever added: which of them Serve gives up when there should be fewer, and which
    pod KubeRay would take, are two choices, and the second may hit one that answers. A pod without
    a gateway gets no clients.

    Args:
        raycluster: As it is.
        runtime: What should run in it.
        leaving: Names of the pods that go when there are fewer than now.
    """
    edited = copy.deepcopy(raycluster)
    _more_gateways(_group(edited, names.GATEWAY), runtime.shape.target.gateways)
    group = _group(edited, names.REPLICA)
    group["minReplicas"], group["maxReplicas"] = runtime.pods, runtime.most_pods
    if not runtime.autoscaled:
        group["replicas"] = runtime.pods
        if leaving:
            group["scaleStrategy"] = {"workersToDelete": list(leaving)}
    return raycluster if edited == raycluster else edited


def scale(
    client: Writer, namespace: str, raycluster: str, runtime: Runtime, leaving: Sequence[str] = ()
) -> None:
    """Set how many replica pods a Ray cluster has, by compare-and-swap.

    Raises:
        TargetError: When somebody else writes it all the time.
    """
    for _ in range(TRIES):
        found = client.get("RayCluster", raycluster, namespace)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        wanted = scaled(found, runtime, leaving)
        if wanted is found:
            return
        try:
            client.replace(wanted)
        except Conflict:
            continue
        return
    raise TargetError(
        f"RayCluster {raycluster} is written by somebody else all the time",
        hint=f"kubectl get raycluster {raycluster} --show-managed-fields -o yaml",
    )


def _more_gateways(group: Manifest, wanted: int) -> None:
    if int(group.get("replicas", 0)) < wanted:
        group |= {"replicas": wanted, "minReplicas": wanted, "maxReplicas": wanted}


def _group(raycluster: Manifest, role: str) -> Manifest:
    groups = raycluster["spec"].get("workerGroupSpecs", [])
    found: Manifest | None = next((g for g in groups if g["groupName"] == role), None)
    if found is None:
        name = raycluster["metadata"]["name"]
        raise TargetError(
            f"RayCluster {name} has no worker group '{role}': it was edited by hand",
            hint="destroy the service and deploy it again",
        )
    return found
