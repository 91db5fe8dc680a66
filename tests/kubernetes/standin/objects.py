"""What KubeRay 1.7 makes of a RayService, as far as the project can see it. Pure; not KubeRay.

Names, labels, owners, injected variables, the init container that waits for the head, and the
autoscaler's container are as there. Left out: the `ray start` command, probes (the project brings
its own), TLS, the history server, Redis clean-up, ingresses, several hosts per replica, headless
services, and the autoscaler's ServiceAccount and Role.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

CLUSTER, NODE_TYPE, GROUP = "ray.io/cluster", "ray.io/node-type", "ray.io/group"
SERVE = "ray.io/serve"
HASH = "ray.io/hash-without-replicas-and-workers-to-delete"
GROUPS = "ray.io/num-worker-groups"
VERSION, KUBERAY = "ray.io/kuberay-version", "v1.7.0"
FROM_NAME, FROM_KIND = "ray.io/originated-from-cr-name", "ray.io/originated-from-crd"
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
SMALL = {"cpu": "200m", "memory": "256Mi"}
AUTOSCALER = {"cpu": "500m", "memory": "512Mi"}
PORTS = {"client": 10001, "gcs-server": 6379, "dashboard": 8265, "metrics": 8080, "serve": 8000}


def suffix() -> str:
    """Five characters, as the API server makes them."""
    return "".join(secrets.choice(LETTERS) for _ in range(5))


def shape_hash(spec: Mapping[str, Any], groups: int | None = None) -> str:
    """Digest of a cluster's spec without what scaling changes; of its first groups only if told."""
    masked = copy.deepcopy(dict(spec))
    masked.pop("upgradeStrategy", None)
    masked.pop("suspend", None)
    workers = masked.get("workerGroupSpecs", [])[:groups]
    masked["workerGroupSpecs"] = workers
    for worker in workers:
        for name in ("replicas", "minReplicas", "maxReplicas"):
            worker.pop(name, None)
        worker.get("scaleStrategy", {}).pop("workersToDelete", None)
    for group in (masked["headGroupSpec"], *workers):
        group["template"]["spec"].pop("tolerations", None)
        group["template"]["spec"].pop("schedulingGates", None)
    return hashlib.sha1(json.dumps(masked, sort_keys=True).encode()).hexdigest()


def owned_by(owner: Object) -> list[Object]:
    """The owner references of what a controller makes for `owner`."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def ray_cluster(service: Object, name: str) -> Object:
    """The RayCluster of a RayService."""
    meta, spec = service["metadata"], service["spec"]["rayClusterConfig"]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {
                **meta.get("labels", {}),
                FROM_NAME: meta["name"],
                FROM_KIND: "RayService",
            },
            "annotations": {
                **meta.get("annotations", {}),
                HASH: shape_hash(spec),
                GROUPS: str(len(spec.get("workerGroupSpecs", []))),
                VERSION: KUBERAY,
            },
            "ownerReferences": owned_by(service),
        },
        "spec": copy.deepcopy(spec),
    }


def head_service(cluster: Object, owner: Object) -> Object:
    """The Service in front of a cluster's head: of the cluster, or of its RayService."""
    selector = head_selector(cluster)
    if owner is cluster:
        # As there: only the cluster's own Service knows of another application name.
        labels = (cluster["spec"]["headGroupSpec"]["template"].get("metadata") or {}).get(
            "labels", {}
        )
        selector["app.kubernetes.io/name"] = labels.get("app.kubernetes.io/name", "kuberay")
    ports = [{"name": key, "port": port} for key, port in head_ports(cluster).items()]
    made = _service(owner, f"{owner['metadata']['name']}-head-svc", selector, ports)
    made["spec"] |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    return made


def head_selector(cluster: Object) -> Object:
    """What the Services in front of a head look for."""
    name = cluster["metadata"]["name"]
    return {
        CLUSTER: name,
        NODE_TYPE: "head",
        "ray.io/identifier": f"{name}-head",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }


def serve_service(service: Object, cluster: Object) -> Object:
    """KubeRay's own Service in front of the pods that serve; the project's clients use another."""
    name = service["metadata"]["name"]
    selector = {CLUSTER: cluster["metadata"]["name"], SERVE: "true"}
    ports = [
        {"name": key, "port": port}
        for key, port in head_ports(cluster).items()
        if key == "serve" or key.startswith("serve-")
    ]
    return _service(service, f"{name}-serve-svc", selector, ports)


def head_ports(cluster: Object) -> dict[str, int]:
    """Ports of the head, by name; Ray's usual ones where its container names none."""
    [container, *_] = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    named = {
        port.get("name", f"{port['containerPort']}-port"): int(port["containerPort"])
        for port in container.get("ports", [])
    }
    return {"metrics": PORTS["metrics"], **(named or PORTS)}


def _service(owner: Object, name: str, selector: Object, ports: list[Object]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {FROM_NAME: owner["metadata"]["name"], FROM_KIND: owner["kind"]},
            "ownerReferences": owned_by(owner),
        },
        "spec": {"selector": selector, "ports": ports, "type": "ClusterIP"},
    }


def head_pod(cluster: Object) -> Object:
    """The head's pod."""
    group = cluster["spec"]["headGroupSpec"]
    pod = _pod(cluster, group, "head", "headgroup", cluster["metadata"]["name"])
    if cluster["spec"].get("enableInTreeAutoscaling"):
        pod["spec"]["containers"].append(_autoscaler(cluster, pod))
    return pod


def worker_pod(cluster: Object, group: Object) -> Object:
    """One more pod of a worker group."""
    prefix = f"{cluster['metadata']['name']}-{group['groupName']}"
    pod = _pod(cluster, group, "worker", group["groupName"], prefix)
    [ray, *_] = pod["spec"]["containers"]
    kept = ("image", "imagePullPolicy", "securityContext", "env", "volumeMounts")
    waits = {key: copy.deepcopy(ray[key]) for key in kept if key in ray}
    waits |= {"name": "wait-gcs-ready", "resources": {"limits": SMALL, "requests": SMALL}}
    pod["spec"].setdefault("initContainers", []).append(waits)
    return pod


def _pod(cluster: Object, group: Object, kind: str, group_name: str, prefix: str) -> Object:
    name = cluster["metadata"]["name"]
    template = copy.deepcopy(group["template"])
    meta = template.get("metadata") or {}
    labels = {
        "ray.io/identifier": f"{name}-{kind}",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
        **meta.get("labels", {}),
        **group.get("labels", {}),
        "ray.io/is-ray-node": "yes",
        CLUSTER: name,
        NODE_TYPE: kind,
        GROUP: group_name,
        SERVE: "true" if kind == "worker" else "false",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{prefix[:50]}-{kind}-{suffix()}".lower(),
            "namespace": cluster["metadata"]["namespace"],
            "labels": labels,
            "annotations": meta.get("annotations", {}),
            "ownerReferences": owned_by(cluster),
        },
        "spec": template["spec"],
    }
    _inject(pod["spec"], cluster, kind)
    return pod


def _inject(spec: Object, cluster: Object, kind: str) -> None:
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    head = f"{name}-head-svc.{namespace}.svc.cluster.local"
    [ray, *_] = spec["containers"]
    wanted = [{"name": "FQ_RAY_IP", "value": head}] if kind == "worker" else []
    wanted += [
        {"name": "RAY_CLUSTER_NAME", "value": name},
        {"name": "RAY_ADDRESS", "value": f"{head if kind == 'worker' else '127.0.0.1'}:6379"},
        *token_variables(cluster),
    ]
    env = ray.setdefault("env", [])
    env += [entry for entry in wanted if entry["name"] not in {known["name"] for known in env}]
    if not any(mount["mountPath"] == "/dev/shm" for mount in ray.setdefault("volumeMounts", [])):
        ray["volumeMounts"].append({"name": "shared-mem", "mountPath": "/dev/shm"})
        memory = ray.get("resources", {}).get("requests", {}).get("memory")
        volume: Object = {"medium": "Memory"} | ({"sizeLimit": memory} if memory else {})
        spec.setdefault("volumes", []).append({"name": "shared-mem", "emptyDir": volume})


def token_variables(cluster: Object) -> list[Object]:
    """The variables that make Ray ask for a token."""
    options = cluster["spec"].get("authOptions", {})
    if options.get("mode") != "token":
        return []
    secret = options.get("secretName") or cluster["metadata"]["name"]
    reference = {"secretKeyRef": {"name": secret, "key": "auth_token"}}
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": reference},
    ]


def _autoscaler(cluster: Object, pod: Object) -> Object:
    options = cluster["spec"].get("autoscalerOptions", {})
    [ray, *_] = pod["spec"]["containers"]
    return {
        "name": "autoscaler",
        "image": options.get("image", ray["image"]),
        "resources": options.get("resources", {"limits": AUTOSCALER, "requests": AUTOSCALER}),
        "env": [*options.get("env", []), *token_variables(cluster)],
        **({"securityContext": options["securityContext"]} if "securityContext" in options else {}),
    }
