"""A pod's status as a kubelet writes it, of one container. Pure."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.standin.status import now_text

Object = dict[str, Any]


def running(pod: Object, address: str, *, started: bool, ready: bool) -> Object:
    """Of a pod whose process runs."""
    state = {"running": {"startedAt": _since(pod)}}
    return _status(pod, "Running", address, state, started=started, ready=ready)


def ended(pod: Object, address: str, log: str) -> Object:
    """Of a pod whose process has ended by itself; `log` is the end of what it printed."""
    terminated = {"exitCode": 1, "reason": "Error", "message": log, "finishedAt": now_text()}
    state = {"terminated": terminated}
    return _status(pod, "Failed", address, state, started=False, ready=False)


def _status(
    pod: Object, phase: str, address: str, state: Object, *, started: bool, ready: bool
) -> Object:
    kept = pod.get("status", {})
    conditions = {c["type"]: c for c in kept.get("conditions", [])}
    for kind, value in (
        ("PodReadyToStartContainers", True),
        ("Initialized", True),
        ("ContainersReady", ready),
        ("Ready", ready),
    ):
        conditions[kind] = _condition(conditions.get(kind), kind, str(value))
    return {
        **kept,
        "phase": phase,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": _since(pod),
        "conditions": list(conditions.values()),
        "containerStatuses": [_container(pod, state, started=started, ready=ready)],
    }


def _condition(known: Object | None, kind: str, value: str) -> Object:
    if known is not None and known["status"] == value:
        return known
    return {"type": kind, "status": value, "lastTransitionTime": now_text()}


def _container(pod: Object, state: Object, *, started: bool, ready: bool) -> Object:
    [container, *_] = pod["spec"]["containers"]
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "state": state,
    }


def _since(pod: Object) -> str:
    return str(pod.get("status", {}).get("startTime") or now_text())
