"""Why a runtime does not come up, in words for a person: pure, from what the cluster shows.

The most telling cause is told, and of several the one that waiting cannot mend: a pod that no image
can be had for matters more than one that still waits for a node. Each is found by a part of its own
(the refused pods, the queue, the volumes, the pods); what none of them knows is told as how far it
has come. Nothing here is guessed from how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clusters import container_reasons, pod_reasons, refusals, waiting_for
from clusters.evidence import Found, Reason, condition, one_line
from clusters.trouble import KUBERAY

__all__ = ["Found", "Reason", "explain"]

INVALID = ("InvalidRayServiceMetadata", "InvalidRayServiceSpec")
"""Reasons of KubeRay's events about a RayService that it does not take."""


def explain(found: Found) -> Reason:
    """The most telling reason why what is found does not serve yet."""
    reasons = [reason for part in PARTS for reason in part(found)]
    hopeless = [reason for reason in reasons if reason.hopeless]
    return (hopeless or reasons or [Reason("its pods are ready, and Ray Serve starts the model")])[
        0
    ]


def _service(found: Found) -> Iterator[Reason]:
    """What KubeRay says of the RayService itself."""
    for service in found.rayservices:
        ready = condition(service, "Ready")
        name, message = service["metadata"]["name"], one_line(ready.get("message") or "")
        if ready.get("reason") == "ValidationFailed":
            yield _refused(name, message)
        elif ready.get("reason") == "InitializingTimeout":
            yield Reason(
                f"KubeRay has given up RayService {name}: {message}",
                "KubeRay looks at it no more: destroy the service, and deploy it again",
                hopeless=True,
            )
        elif not found.rayclusters:
            told = [e for e in found.events_of(service) if e.get("reason") in INVALID]
            yield from (_refused(name, one_line(event["message"])) for event in told[-1:])


def _refused(name: str, message: str) -> Reason:
    hint = f"it and llmops may not fit together: KubeRay {KUBERAY} or newer is needed"
    return Reason(f"KubeRay refuses RayService {name}: {message}", hint, hopeless=True)


def _cluster(found: Found) -> Iterator[Reason]:
    """What KubeRay says of the RayCluster itself."""
    for cluster in found.rayclusters:
        failure = condition(cluster, "ReplicaFailure")
        if failure.get("status") == "True":
            yield refusals.read(failure.get("message", ""))
        elif (cluster.get("spec") or {}).get("suspend") and not found.workloads:
            yield Reason(
                f"RayCluster {cluster['metadata']['name']} is suspended",
                "Kueue suspends it until there is room; without Kueue, somebody else has done it",
            )


def _progress(found: Found) -> Iterator[Reason]:
    """How far KubeRay has come, when there is nothing wrong to tell."""
    if not found.rayservices:
        yield Reason("its RayService is not there")
    elif not found.rayclusters:
        yield Reason(
            "KubeRay has not made its RayCluster yet",
            "if this stays so, KubeRay's operator does not run, or does not watch this namespace",
        )
    elif not found.pods:
        yield Reason("KubeRay has not made its pods yet")


def _untouched(found: Found) -> Iterator[Reason]:
    """Whether KubeRay has looked at the RayService since it was written last."""
    for service in found.rayservices:
        seen = (service.get("status") or {}).get("observedGeneration")
        if seen is not None and seen < service["metadata"].get("generation", 0):
            yield Reason(
                f"KubeRay has not taken up the change of RayService {service['metadata']['name']}",
                "if this stays so, KubeRay's operator does not run",
            )


PARTS: tuple[Callable[[Found], Iterator[Reason]], ...] = (
    _service,
    _cluster,
    refusals.in_events,
    waiting_for.queues,
    waiting_for.claims,
    container_reasons.containers,
    pod_reasons.ended,
    waiting_for.nodes,
    pod_reasons.mounts,
    _progress,
    pod_reasons.starting,
    waiting_for.applications,
    _untouched,
)
"""Where reasons come from: the most telling first."""
