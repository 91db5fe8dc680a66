"""Why pods that have a node do not get ready, and what those without trouble are doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clusters.container_reasons import PASSING
from clusters.evidence import Found, Reason, by_role, condition, counted, kubectl, one_line, verb
from clusters.model import Manifest

_MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")


def ended(found: Found) -> Iterator[Reason]:
    """Why pods were ended by their node; KubeRay makes others in their place."""
    for pod in found.present():
        status = pod.get("status") or {}
        if status.get("phase") != "Failed":
            continue
        node = (pod.get("spec") or {}).get("nodeName", "?")
        reason = status.get("reason") or "Failed"
        message = one_line(status.get("message") or "no reason is given")
        hint = kubectl(pod, "describe pod {}")
        if reason == "Evicted":
            hint = "the node ran short of what is named; a pod that requests it is spared"
        yield Reason(
            f"{counted([pod], found)} was ended on node {node} ({reason}): {message}", hint
        )


def mounts(found: Found) -> Iterator[Reason]:
    """Why volumes or the network of pods cannot be set up."""
    for pod in filter(_is_set_up, found.present()):
        told = [event for event in found.events_of(pod) if event.get("reason") in _MOUNTS]
        if told:
            message = told[-1].get("message") or ""
            yield Reason(
                f"{counted([pod], found)} cannot be set up on its node: {one_line(message)}",
                kubectl(pod, "describe pod {}"),
                hopeless="not found" in message and not PASSING.search(message),
            )


def _is_set_up(pod: Manifest) -> bool:
    """Whether the kubelet is still at it; what events tell of may be over."""
    done = condition(pod, "PodReadyToStartContainers").get("status") == "True"
    return _phase(pod) == "Pending" and not done


def starting(found: Found) -> Iterator[Reason]:
    """What pods are doing that have no trouble."""
    for does, holds in _DOING:
        for pods in by_role(pod for pod in found.present() if holds(found, pod)).values():
            yield Reason(f"{counted(pods, found)} {verb(pods, *does)}")


def _pulls(found: Found, pod: Manifest) -> bool:
    told = [e for e in found.events_of(pod) if e.get("reason") in ("Pulling", "Pulled")]
    return _phase(pod) == "Pending" and bool(told) and told[-1]["reason"] == "Pulling"


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _runs_unready(pod: Manifest) -> bool:
    return _phase(pod) == "Running" and condition(pod, "Ready").get("status") != "True"


_DOING: tuple[tuple[tuple[str, str], Callable[[Found, Manifest], bool]], ...] = (
    (("pulls its image", "pull their image"), _pulls),
    (("is being started", "are being started"), lambda _, pod: _phase(pod) == "Pending"),
    (
        ("runs and is not ready yet", "run and are not ready yet"),
        lambda _, pod: _runs_unready(pod),
    ),
)
