"""The statuses that KubeRay 1.7 writes, from what is there. Pure; not KubeRay.

Of a RayCluster: state, counts, head, and the conditions HeadPodReady, RayClusterProvisioned and
ReplicaFailure. Of a RayService: both clusters, their applications, serve endpoints, and the
conditions Ready and UpgradeInProgress. Left out: sums of CPUs and GPUs, endpoints by port,
suspension, the initializing time-out, rollbacks and shares of incremental upgrades.

As there, a RayService's first cluster is `pending` until each of its applications has been RUNNING
at once, and its applications' states stand in `pendingServiceStatus` as long.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.standin.objects import CLUSTER, NODE_TYPE, SERVE

Object = dict[str, Any]
TIMES = frozenset({"lastUpdateTime", "lastTransitionTime"})


def now_text() -> str:
    """The time as the API writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def desired(group: Mapping[str, Any]) -> int:
    """Pods that a worker group should have: its replicas within its bounds."""
    low, high = group.get("minReplicas") or 0, group.get("maxReplicas")
    count = max(int(group.get("replicas") or 0), low)
    return min(count, high) if high is not None else count


def same(one: Any, other: Any) -> bool:
    """Whether two statuses say the same, whenever they were written."""
    return bool(_timeless(one) == _timeless(other))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def set_condition(status: Object, kind: str, value: str, reason: str, message: str) -> None:
    """Set a condition; its time is that of the last change of its value."""
    conditions = status.setdefault("conditions", [])
    known = next((c for c in conditions if c["type"] == kind), None)
    if known is None:
        known = {"type": kind}
        conditions.append(known)
    if known.get("status") != value:
        known["lastTransitionTime"] = now_text()
    known.update(status=value, reason=reason, message=message)
    if "observedGeneration" in status:
        known["observedGeneration"] = status["observedGeneration"]


def condition(status: Mapping[str, Any], kind: str) -> str:
    """The value of a condition; empty when there is none."""
    return next((c["status"] for c in status.get("conditions", []) if c["type"] == kind), "")


def cluster_status(cluster: Object, pods: list[Object], failure: tuple[str, str] | None) -> Object:
    """The status of a RayCluster.

    Args:
        cluster: The object, with the status it has.
        pods: All its pods.
        failure: Reason and message when pods could not be made.
    """
    status: Object = copy.deepcopy(cluster.get("status", {}))
    groups = cluster["spec"].get("workerGroupSpecs", [])
    workers = [pod for pod in pods if pod["metadata"]["labels"][NODE_TYPE] == "worker"]
    running = [pod for pod in workers if pod.get("status", {}).get("phase") == "Running"]
    wanted = sum(desired(group) for group in groups)
    status |= {
        "observedGeneration": cluster["metadata"]["generation"],
        "desiredWorkerReplicas": wanted,
        "minWorkerReplicas": sum(group.get("minReplicas") or 0 for group in groups),
        "maxWorkerReplicas": min(2**31 - 1, sum(g.get("maxReplicas") or 0 for g in groups)),
        "readyWorkerReplicas": sum(map(is_ready, workers)),
        "availableWorkerReplicas": len(running),
    }
    everything = len(pods) == wanted + 1 and all(map(is_ready, pods))
    if everything and failure is None and status.get("state") != "ready":
        status["state"] = "ready"
        status.setdefault("stateTransitionTimes", {})["ready"] = now_text()
    _tell_head(status, cluster, pods)
    _tell_provisioned(status, everything=everything)
    _tell_failure(status, failure)
    return status


def _tell_head(status: Object, cluster: Object, pods: list[Object]) -> None:
    heads = [pod for pod in pods if pod["metadata"]["labels"][NODE_TYPE] == "head"]
    if not heads:
        set_condition(status, "HeadPodReady", "False", "HeadPodNotFound", "Head Pod not found")
        return
    head = heads[0]
    status["head"] = {
        "podName": head["metadata"]["name"],
        "serviceName": f"{cluster['metadata']['name']}-head-svc",
    }
    if address := head.get("status", {}).get("podIP"):
        status["head"] |= {"podIP": address, "serviceIP": address}
    ready = is_ready(head)
    reason = "HeadPodRunningAndReady" if ready else "ContainersNotReady"
    set_condition(status, "HeadPodReady", str(ready), reason, "")


def _tell_provisioned(status: Object, *, everything: bool) -> None:
    kind = "RayClusterProvisioned"
    if condition(status, kind) == "True":
        return
    if everything:
        set_condition(status, kind, "True", "AllPodRunningAndReadyFirstTime", "all pods are ready")
    else:
        set_condition(status, kind, "False", "RayClusterPodsProvisioning", "pods are being made")


def _tell_failure(status: Object, failure: tuple[str, str] | None) -> None:
    if failure is not None:
        set_condition(status, "ReplicaFailure", "True", *failure)
        return
    kept = [c for c in status["conditions"] if c["type"] != "ReplicaFailure"]
    status["conditions"] = kept


@dataclass(frozen=True)
class Side:
    """One of a RayService's two clusters, and what its Serve says."""

    cluster: Object | None
    applications: Object
    ready: bool
    """Whether every application runs."""


def service_status(
    service: Object, active: Side, pending: Side, endpoints: int, next_name: str
) -> Object:
    """The status of a RayService.

    Args:
        service: The object, with the status it has.
        active: What serves.
        pending: What will.
        endpoints: Ready pods behind KubeRay's own Service.
        next_name: Name of the cluster to make, should one be needed; empty when it must not.
    """
    status: Object = copy.deepcopy(service.get("status", {}))
    status["observedGeneration"] = service["metadata"]["generation"]
    for name, side in (("activeServiceStatus", active), ("pendingServiceStatus", pending)):
        told = status.setdefault(name, {})
        told["rayClusterStatus"] = (side.cluster or {}).get("status", {})
        told["applicationStatuses"] = side.applications
    if pending.ready:
        status["activeServiceStatus"] = status["pendingServiceStatus"]
        status["pendingServiceStatus"] = {}
    elif next_name:
        status["pendingServiceStatus"] = {"rayClusterName": next_name}
    status["numServeEndpoints"] = endpoints
    _tell_service(status, endpoints)
    status["serviceStatus"] = "Running" if condition(status, "Ready") == "True" else ""
    return status


def _tell_service(status: Object, endpoints: int) -> None:
    if not status.get("conditions"):
        for kind in ("Ready", "UpgradeInProgress"):
            set_condition(status, kind, "False", "Initializing", "RayService is initializing")
    if endpoints:
        set_condition(status, "Ready", "True", "NonZeroServeEndpoints", "there are endpoints")
    elif condition(status, "Ready") == "True":
        set_condition(status, "Ready", "False", "ZeroServeEndpoints", "there are no endpoints")
    active = status["activeServiceStatus"].get("rayClusterName")
    pending = status["pendingServiceStatus"].get("rayClusterName")
    kind = "UpgradeInProgress"
    if active and pending:
        set_condition(status, kind, "True", "BothActivePendingClustersExist", "both exist")
    elif active:
        set_condition(status, kind, "False", "NoPendingCluster", "there is no pending cluster")


def endpoints_of(cluster: str, pods: list[Object]) -> int:
    """Ready pods that KubeRay's own Service for serving selects."""
    return sum(
        pod["metadata"]["labels"].get(CLUSTER) == cluster
        and pod["metadata"]["labels"].get(SERVE) == "true"
        and is_ready(pod)
        for pod in pods
    )
