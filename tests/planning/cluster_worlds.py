"""Clusters that a test names: groups of like nodes, sizes as a user writes them."""

from __future__ import annotations

from typing import Any

from llmops.planning import ClusterFacts, Facts, NodeFacts
from llmops.spec.models import Deployment
from llmops.units import Bytes
from tests.planning.worlds import CPU, deployment, make_facts

IMAGE = "registry.example.com/llmops@sha256:" + "0a" * 32
H100 = {"name": "NVIDIA-H100-80GB-HBM3", "memory": "81559MiB"}
DEFAULT: dict[str, Any] = {"cores": 16, "memory": "64GiB", "disk": "500GiB", "gpus": 0}


def nodes(*, prefix: str = "n", count: int = 1, **given: Any) -> list[NodeFacts]:
    """`count` like nodes; `free` names what is not free in full, `gpu` the GPU."""
    has = DEFAULT | given
    free = {key: has[key] for key in ("cores", "memory", "disk", "gpus")} | given.get("free", {})
    gpu = given.get("gpu", H100 if has["gpus"] else {})
    return [
        NodeFacts(
            name=f"{prefix}{number}",
            cores=float(has["cores"]),
            memory=int(Bytes.parse(has["memory"])),
            disk=int(Bytes.parse(has["disk"])),
            gpus=has["gpus"],
            cores_free=float(free["cores"]),
            memory_free=int(Bytes.parse(free["memory"])),
            disk_free=int(Bytes.parse(free["disk"])),
            gpus_free=free["gpus"],
            gpu_name=gpu.get("name", ""),
            gpu_memory=int(Bytes.parse(gpu["memory"])) if "memory" in gpu else 0,
        )
        for number in range(count)
    ]


def cluster(*groups: dict[str, Any], passed_over: dict[str, int] | None = None) -> ClusterFacts:
    """A cluster of groups of nodes."""
    found = [nodes(prefix=f"n{at}-", **group) for at, group in enumerate(groups)]
    every = tuple(node for group in found for node in group)
    return ClusterFacts("production", "models", "v1.36.4", every, passed_over or {})


def cluster_facts(model: str, where: ClusterFacts, **other: Any) -> Facts:
    """Facts of a model on a cluster; `machine` says nothing."""
    made = make_facts(
        model, machine={"cores": 1, "memory": "1MiB", "disk": "1B"}, **({"engine": CPU} | other)
    )
    return Facts(made.model, made.machine, made.live, made.engine_version, where)


def on_cluster(**sections: Any) -> Deployment:
    """A deployment of `chat` on a cluster; `target` adds to the smallest section."""
    target = {"kind": "kubernetes", "namespace": "models"} | sections.pop("target", {})
    return deployment(**({"image": IMAGE} | sections | {"target": target}))
