"""Objects that tests begin with: nodes that do not exist, namespaces, users' rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
FAKE = {"kwok.x-k8s.io/node": "fake"}


def node(
    name: str,
    *,
    gpus: int,
    cpu: int,
    memory: str,
    gpu_product: str,
    gpu_memory_mib: int,
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]],
) -> Json:
    """A node as its kubelet and NVIDIA's GPU feature discovery would describe it."""
    resources = {"cpu": str(cpu), "memory": memory, "pods": "110", "ephemeral-storage": "1Ti"}
    found = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    found["kubernetes.io/arch"] = "amd64"
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
        found |= {
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": gpu_product,
            "nvidia.com/gpu.memory": str(gpu_memory_mib),
            "nvidia.com/gpu.count": str(gpus),
        }
    metadata = {"name": name, "annotations": FAKE, "labels": found | dict(labels)}
    status = {"capacity": resources, "allocatable": resources}
    spec = {"taints": [dict(taint) for taint in taints]}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def namespace(name: str, level: str) -> Json:
    """A namespace with Pod Security enforced at a level, of the newest version."""
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "warn", "audit")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def rights(user: str, rules: Sequence[Mapping[str, Any]], within: str | None) -> tuple[Json, Json]:
    """A role with a user's name and its binding; for the whole cluster when `within` is None."""
    kind = "ClusterRole" if within is None else "Role"
    metadata = {"name": user} | ({} if within is None else {"namespace": within})
    group = "rbac.authorization.k8s.io"
    common = {"apiVersion": f"{group}/v1", "metadata": metadata}
    subject = {"apiGroup": group, "kind": "User", "name": user}
    role = {"kind": kind, "rules": [dict(rule) for rule in rules]}
    refers = {"apiGroup": group, "kind": kind, "name": user}
    binding = {"kind": f"{kind}Binding", "roleRef": refers, "subjects": [subject]}
    return common | role, common | binding
