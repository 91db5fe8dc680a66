"""Pods that are evicted from a node, one after another, and made anew elsewhere by KubeRay.

Eviction asks the cluster's disruption budgets, ours and other people's, and waits while they say
no. It is for pods that others stand in for meanwhile: a gateway beside others, a head whose state
is in Redis, a replica's pod that no replica runs on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from clusters import names
from clusters.gateways import is_ready
from clusters.live import LiveRuntime
from clusters.model import Manifest
from clusters.moving import Stay
from clusters.occupants import is_leaving, role_of, runtime_of
from clusters.steps import POLL
from clusters.target import ClusterTarget
from llmops.errors import TargetError
from llmops.events import Flow, StepBegun, StepEnded
from llmops.releases import Phase
from llmops.waiting import wait

ALLOWED_SECONDS = 300.0
"""For disruption budgets to allow an eviction."""
ASK_AGAIN = 2.0
"""Seconds between two tries of an eviction."""
BACK_SECONDS = 180.0
"""For KubeRay, the scheduler and the kubelet to have another pod ready, beyond the time in which
the evicted one may end."""

Look = Callable[[], str | None]


def evict_rest(target: ClusterTarget, stay: Stay) -> Flow[None]:
    """Evict what is left of the service's live runtime on the node: gateways first, the head last.

    Raises:
        TargetError: When a budget never allows it, or what is made anew does not come up.
    """
    runtime = stay.runtime
    if runtime is None:
        return
    order = {names.REPLICA: 0, names.GATEWAY: 1, names.HEAD: 2}
    mine = [pod for pod in stay.here if runtime_of(pod) == runtime.id and role_of(pod) in order]
    for pod in sorted(mine, key=lambda pod: (order[role_of(pod)], pod["metadata"]["name"])):
        look = _standing_in(target, stay, runtime, role_of(pod))
        yield from _evict(target, pod, look)


def _evict(target: ClusterTarget, pod: Manifest, others: Look) -> Flow[None]:
    name = pod["metadata"]["name"]
    text, began = f"evict {role_of(pod)} {name}", time.monotonic()
    yield StepBegun(text)
    if not is_leaving(pod):
        yield from wait("evict", others, BACK_SECONDS, poll=POLL)
        yield from wait("evict", _asking(target, name), ALLOWED_SECONDS, poll=ASK_AGAIN)
    grace = float(pod["spec"].get("terminationGracePeriodSeconds") or 30)
    yield from wait("evict", _gone(target, pod, others), grace + BACK_SECONDS, poll=POLL)
    yield StepEnded(text, time.monotonic() - began)


def _asking(target: ClusterTarget, pod: str) -> Look:
    def look() -> str | None:
        forbidden = target.client.evict(pod, target.namespace)
        return f"{pod} may not be evicted now: {forbidden}" if forbidden else None

    return look


def _gone(target: ClusterTarget, pod: Manifest, others: Look) -> Look:
    """Waits until the pod has gone, and another is in its place."""
    metadata = pod["metadata"]

    def look() -> str | None:
        found = target.client.get("Pod", metadata["name"], target.namespace)
        if found is not None and found["metadata"]["uid"] == metadata["uid"]:
            return f"{metadata['name']} finishes what it answers"
        return others()

    return look


def _standing_in(target: ClusterTarget, stay: Stay, runtime: LiveRuntime, role: str) -> Look:
    """Looks whether all others of the role are there and at work."""
    if role == names.GATEWAY:
        return lambda: _gateways(target, stay, runtime.id)
    if role == names.HEAD:
        return lambda: _head(target, stay, runtime.id)
    return lambda: None


def _gateways(target: ClusterTarget, stay: Stay, runtime: str) -> str | None:
    steps, count = target.steps(stay.service), stay.shape.target.gateways
    found, now = steps.gateways(runtime), steps.live().runtime(runtime)
    if len(found.ready) < count:
        return f"{len(found.ready)} of {count} gateways are ready"
    late = found.behind(now.generation if now else 0)
    return f"{late[0]} takes over the routing table" if late else None


def _head(target: ClusterTarget, stay: Stay, runtime: str) -> str | None:
    steps = target.steps(stay.service)
    if not any(is_ready(pod) for pod in steps.pods(runtime, names.HEAD)):
        return "no head is ready"
    now = steps.live().runtime(runtime)
    seen = now.find(stay.live.number) if now else None
    if seen is None or seen.phase is not Phase.READY:
        return f"the new head does not show release {stay.live.number} as running yet"
    return _gateways(target, stay, runtime)


def leaving_gone(look: Callable[[], Stay]) -> Flow[None]:
    """Wait until the pods that go by themselves have left the node.

    Raises:
        TargetError: When they do not end.
    """
    first = look()
    graces = [float(p["spec"].get("terminationGracePeriodSeconds") or 30) for p in first.here]

    def left() -> str | None:
        now = look()
        leaving = [pod for pod in now.here if _ends(pod, now)]
        return f"{leaving[0]['metadata']['name']} ends" if leaving else None

    yield from wait("drain", left, max(graces, default=0.0) + BACK_SECONDS, poll=POLL)


def _ends(pod: Manifest, stay: Stay) -> bool:
    """Whether the pod goes by itself: it is being deleted, or its runtime is."""
    return is_leaving(pod) or stay.runtime is None or runtime_of(pod) != stay.runtime.id


def require_none(target: ClusterTarget, stay: Stay) -> None:
    """Refuse to call a node drained that has pods of the service.

    Raises:
        TargetError: Naming them.
    """
    left = [pod["metadata"]["name"] for pod in stay.here]
    if left:
        raise TargetError(
            f"{len(left)} pods of {target.namespace}/{stay.service} are still on {stay.node}:"
            f" {', '.join(left[:5])}",
            hint="run the drain again: it goes on from here",
            serving=True,
        )
