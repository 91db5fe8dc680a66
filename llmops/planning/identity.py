"""What makes two plans the same release, and two sets of facts the same facts. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from llmops.planning.adapter import AdapterRoom
from llmops.planning.cloud import CloudFacts
from llmops.planning.model import ClusterFacts, Facts, MachineFacts, Share
from llmops.planning.upkeep import FIELDS
from llmops.spec import BareMetalTarget, Deployment


def digest(value: Any) -> str:
    """SHA-256 over canonical JSON, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(deployment: Deployment, facts: Facts) -> str:
    """Digest of what the user asked for, the model's revision and the engine's version.

    What was free on the machine is left out: the same file deployed twice is the same release.

    What has its default value is left out too, written or not, so that a field that a later version
    adds makes no new release of a file that does not use it. The price: where a later version
    changes a default, a file that relies on it is still the same release. What runs goes on as it
    was planned, with the old value, until something else changes; a changed default alone moves no
    traffic.

    How it is looked after is left out as well: when it may be changed says nothing of what runs.
    """
    found: list[Any] = [_asked(deployment), facts.model.revision, facts.engine_version]
    found += [facts.adapter.digest] if facts.adapter else []
    return digest([*found, _named(facts)] if facts.adapters else found)


def engine_identity(deployment: Deployment, facts: Facts, room: AdapterRoom) -> str:
    """Digest of all that makes an engine what it is, less its adapters; empty where an engine is
    for one release alone.

    One engine serves several releases only on this machine, and only while the number of replicas
    is fixed: where it follows the load, the load of one release would move the replicas of all.
    With `recreate` the old release goes first, and its engine with it.

    Args:
        deployment: What is asked for.
        facts: What was looked up.
        room: For adapters, that the engine keeps.
    """
    replicas = deployment.scaling.replicas
    alone = not room.rank or deployment.target.kind != "local" or replicas.low != replicas.high
    if alone or deployment.maintenance.strategy == "recreate":
        return ""
    asked = _asked(deployment)
    asked["model"] = {n: v for n, v in asked["model"].items() if n not in ("adapter", "adapters")}
    engine = {n: v for n, v in asked.get("engine", {}).items() if n != "adapter_count"}
    # Left out where it is 1: an engine of before there was more says nothing of it.
    several = {"adapter_count": room.count} if room.count > 1 else {}
    asked["engine"] = engine | {"adapter_rank": room.rank} | several
    return digest([asked, facts.model.revision, facts.engine_version])


def _named(facts: Facts) -> dict[str, str]:
    return {name: found.digest for name, found in facts.adapters.items()}


def _asked(deployment: Deployment) -> dict[str, Any]:
    """What was asked for, without what has its default value and how it is looked after.

    Which hosts of a cluster serve is left out: it is the same release of the head's agent.
    """
    if isinstance(deployment.target, BareMetalTarget):
        deployment = deployment.model_copy(update={"target": deployment.target.behind_agent()})
    unasked: dict[str, set[str]] = {"maintenance": set(FIELDS), "target": {"roll"}}
    asked = deployment.model_dump(mode="json", exclude_defaults=True, exclude=unasked)
    if not asked.get("maintenance", True):
        del asked["maintenance"]
    return asked


def facts_digest(facts: Facts) -> str:
    """Digest of the facts that a plan depends on, less those that move by themselves.

    Free memory and disk change from second to second, so only what has been installed counts; the
    live releases count, because a plan made beside them holds only while they are there.
    """
    model = facts.model
    return digest(
        {
            "model": [model.source, model.revision, model.parameters, model.weight_bytes],
            **_of_place(facts),
            "live": sorted([r.service, r.number, r.identity] for r in facts.live),
            "engine": facts.engine_version,
            **({"adapter": facts.adapter.digest} if facts.adapter else {}),
            **({"adapters": _named(facts)} if facts.adapters else {}),
        }
    )


def _of_place(facts: Facts) -> dict[str, Any]:
    if facts.cloud is not None:
        return _of_cloud(facts.cloud)
    return _of_machine(facts.machine) if facts.cluster is None else _of_cluster(facts.cluster)


def _of_cloud(cloud: CloudFacts) -> dict[str, Any]:
    """What can be had and at what price; in no order, because none is promised."""
    prices = sorted(
        [offer.name, price.region, price.on_demand, price.spot]
        for offer in cloud.catalogue.offers
        for price in offer.prices
    )
    zones = {machine: sorted(names) for machine, names in cloud.zones.items()}
    return {"offers": prices, "zones": zones, "images": dict(cloud.images)}


def _of_machine(machine: MachineFacts) -> dict[str, Any]:
    return {
        "machine": [machine.cores, machine.memory, [gpu.name for gpu in machine.gpus]],
        "port": [machine.port_owner == "", machine.endpoint_port, machine.endpoint_host],
        "tls": str(machine.endpoint_tls),
        **({"shares": [_of_share(one) for one in machine.shares]} if machine.shares else {}),
    }


def _of_share(share: Share) -> list[Any]:
    return [share.stages, share.cores, share.memory, [gpu.name for gpu in share.gpus]]


def _of_cluster(cluster: ClusterFacts) -> dict[str, Any]:
    """What the cluster is, and not what is free in it; in no order, because none is promised."""
    nodes = sorted(
        [n.name, n.cores, n.memory, n.disk, n.gpus, n.gpu_name, n.gpu_memory]
        for n in cluster.nodes
    )  # fmt: skip
    return {
        "cluster": [cluster.context, cluster.namespace, cluster.version, cluster.objects],
        "nodes": nodes,
    }
