"""Kueue's LocalQueue, where the user names the ClusterQueue that it stands for.

A LocalQueue that is made here is the service's own, and goes with it. One that several services
wait in has to be somebody else's: then `target.queue` names no ClusterQueue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightkube.models import meta_v1

from clusters.model import Manifest, ServiceState
from clusters.objects.about import described, leading
from clusters.objects.documents import document

COMPONENT = "queueing"


@dataclass(frozen=True, slots=True)
class LocalQueueSpec:
    """Of Kueue's LocalQueue: which ClusterQueue admits."""

    cluster_queue: str


@dataclass(frozen=True, slots=True)
class LocalQueue:
    """Kueue's LocalQueue, as far as it is used."""

    metadata: meta_v1.ObjectMeta
    spec: LocalQueueSpec
    api_version: str = "kueue.x-k8s.io/v1beta1"
    kind: str = "LocalQueue"


def queue(state: ServiceState) -> Iterator[Manifest]:
    """The LocalQueue, when `target.queue.cluster_queue` is set; otherwise it is another's."""
    runtime = leading(state)
    wished = runtime.shape.target.queue if runtime else None
    if wished and wished.cluster_queue:
        why = "Where the runtime's pods wait until all of them can start together."
        yield document(
            LocalQueue(
                described(state, wished.local_queue, COMPONENT, why),
                LocalQueueSpec(wished.cluster_queue),
            )
        )
