"""All that a namespace holds, without what differs between two runs that did the same.

Left out: names that are drawn by lot, times, versions (the routing table's too, which a release
that was tried twice has raised twice), what controllers fill in, and the text of secrets. Pods are
counted by what they are for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from clusters.ports import Reader
from clusters.target import ClusterTarget

Json = dict[str, Any]
Snapshot = dict[str, Any]

OURS = (
    "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy",
    "PersistentVolumeClaim", "ResourceQuota", "PodDisruptionBudget", "RayService", "Service",
)  # fmt: skip
"""Kinds of a namespace that llmops itself writes, and that are never filled in later."""
GIVEN = frozenset({"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"})
"""What every namespace has."""
ALLOTTED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
"""What the API server gives a Service."""


def ours(client: Reader, namespace: str) -> Snapshot:
    """What llmops wrote: it changes by nobody else, so it is compared at once."""
    listed = [one for kind in OURS for one in client.list(kind, namespace)]
    found = {_key(one): _object(one, namespace) for one in listed if _is_written(one)}
    return {key: value for key, value in found.items() if key not in GIVEN}


def everything(target: ClusterTarget, service: str) -> Snapshot:
    """That, what others made of it, the lock, and the shares that the gateways really give."""
    client, namespace = target.client, target.namespace
    lease = client.get("Lease", f"{service}-llmops", namespace) or {"spec": {}}
    priorities = [one["metadata"]["name"] for one in client.list("PriorityClass")]
    return {
        **ours(client, namespace),
        "lock": "held" if lease["spec"].get("holderIdentity") else "free",
        "priorities": sorted(n.replace(namespace, "NS") for n in priorities if namespace in n),
        "clusters": sorted(_cluster(one) for one in client.list("RayCluster", namespace)),
        "services": sorted(_unlotted(_name(one)) for one in client.list("Service", namespace)),
        "pods": dict(Counter(_pod(one) for one in client.list("Pod", namespace))),
        "shares": [(s.number, s.phase.value, s.share) for s in target.observe(service)],
    }


def record(snapshot: Snapshot) -> list[Json]:
    """What the service's record says of each release; empty without one."""
    return next((value for key, value in snapshot.items() if key.startswith("ConfigMap/")), [])


def difference(found: Snapshot, wanted: Snapshot) -> str:
    """Where two differ, for a person; empty when they do not."""
    keys = sorted({*found, *wanted})
    return "\n".join(
        f"{key}:\n  found    {_text(found, key)}\n  expected {_text(wanted, key)}"
        for key in keys
        if found.get(key) != wanted.get(key)
    )


def _text(snapshot: Snapshot, key: str) -> str:
    return json.dumps(snapshot.get(key, "nothing"), sort_keys=True)[:4000]


def _is_written(item: Json) -> bool:
    """Whether KubeRay made it: its Services belong to what they lead to."""
    return "ownerReferences" not in item["metadata"]


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _key(item: Json) -> str:
    return f"{item['kind']}/{_name(item)}"


def _object(item: Json, namespace: str) -> Any:
    kind = item["kind"]
    if kind == "Secret":
        return sorted(item.get("data") or {})
    if kind == "ConfigMap":
        return _history(item)
    meta = item["metadata"]
    kept = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    kept |= {part: meta.get(part) or {} for part in ("labels", "annotations")}
    kept["ending"] = "deletionTimestamp" in meta
    if kind == "Service":
        kept["spec"] = {k: v for k, v in item["spec"].items() if k not in ALLOTTED}
    if kind == "ServiceAccount":
        kept.pop("secrets", None)
    text = json.dumps(kept).replace(namespace, "NS")
    return json.loads(re.sub(r"generation: \d+", "generation: N", text))


def _history(item: Json) -> list[Json]:
    """What the record says of each release, without its times and its plan.

    Tries of one release that failed in the same way, one after another, count once: a run that was
    killed after it had recorded the failure is tried again.
    """
    data: dict[str, str] = item.get("data") or {}
    releases = [json.loads(text) for key, text in data.items() if key.startswith("release-")]
    told = [_release(one) for one in sorted(releases, key=lambda one: int(one["number"]))]
    return [one for before, one in zip([{}, *told], told, strict=False) if one != before]


def _release(release: Json) -> Json:
    failed = release["state"] == "failed"
    return {
        "number": "any" if failed else release["number"],
        "state": release["state"],
        "rollback_of": release.get("rollback_of"),
        "reason": re.sub(r"release \d+", "release N", release.get("reason") or ""),
        "image": release["plan"]["image"],
        "verified": release.get("verified_at") is not None,
        "ended": release.get("ended_at") is not None,
    }


def _cluster(item: Json) -> str:
    groups = item["spec"].get("workerGroupSpecs", [])
    counts = [(g["groupName"], g["replicas"], g["minReplicas"], g["maxReplicas"]) for g in groups]
    return f"{_unlotted(_name(item))}: {counts}"


def _unlotted(name: str) -> str:
    """The name of what KubeRay made of a RayService, without its random part."""
    return re.sub(r"^(\w+-[0-9a-f]{8})-[a-z0-9]{5}\b", r"\1-*", name)


def _pod(item: Json) -> str:
    labels, status = item["metadata"]["labels"], item.get("status", {})
    ready = any(
        c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
    )
    state = "ready" if ready else "not ready"
    ending = " and ends" if "deletionTimestamp" in item["metadata"] else ""
    return f"{labels.get('llmops/runtime')} {labels.get('llmops/role')} {state}{ending}"
