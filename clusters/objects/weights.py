"""The volume that replicas share for weights: fetched once, read by all, on whichever node."""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import core_v1

from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects.about import described, leading
from clusters.objects.documents import document

COMPONENT = "weights"
GIB = 2**30


def claim_name(service: str) -> str:
    """Name of the service's PersistentVolumeClaim."""
    return f"{service}-weights"


def claim(state: ServiceState) -> Iterator[Manifest]:
    """The PersistentVolumeClaim, when a runtime keeps its weights on one.

    It is large enough for the runtime that wants most: a claim can grow, never shrink.
    """
    users = [r for r in state.runtimes if r.shape.target.weights.kind == "pvc"]
    leader = leading(state)
    if not users or leader is None:
        return
    first = leader if leader in users else users[0]
    why = "Weights, fetched once and read by every replica on whichever node."
    yield document(
        core_v1.PersistentVolumeClaim(
            apiVersion="v1",
            kind="PersistentVolumeClaim",
            metadata=described(state, claim_name(state.service), COMPONENT, why),
            spec=core_v1.PersistentVolumeClaimSpec(
                accessModes=["ReadWriteMany"],
                storageClassName=first.shape.target.weights.storage_class,
                resources=core_v1.VolumeResourceRequirements(
                    requests={"storage": f"{max(state.claimed // GIB, *map(_gib, users))}Gi"}
                ),
            ),
        )
    )


def _gib(runtime: Runtime) -> int:
    """The size that is asked for, or twice what its largest model weighs: an update needs both."""
    asked = runtime.shape.target.weights.size
    weighs = (int(r.plan.model.weight_bytes.value) for r in runtime.releases)
    return max(1, -(-int(asked or 2 * max(weighs, default=0)) // GIB))
