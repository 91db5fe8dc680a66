"""A deployment on a cluster: one replica on one node, and room for as many as are asked for. Pure.

Refused with the arithmetic of the resource that is missing, before any pod waits for it. The pods
of a runtime's head and gateways are small, are no replicas, and are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.capacity import freed, no_room, resources, room, standing
from llmops.planning.choice import Choice, choose
from llmops.planning.cloud import MachinePlan
from llmops.planning.gpu_nodes import other_gpus
from llmops.planning.model import Facts, PodSize
from llmops.planning.nodes import World, worlds
from llmops.planning.pods import pod_size
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import Deployment, KubernetesTarget


@dataclass(frozen=True, slots=True)
class Placed:
    """Where and how replicas run: what a plan is put together from."""

    deployment: Deployment
    """As `choice` was made for: on a cluster, with one replica."""
    facts: Facts
    """As `choice` was made with: on a cluster, with a node as the machine."""
    choice: Choice
    pod: PodSize | None = None
    notes: tuple[str, ...] = ()
    machines: MachinePlan | None = None


@dataclass(frozen=True, slots=True)
class _Tried:
    """A replica that is planned, and how many of it there is room for."""

    world: World
    choice: Choice
    pod: PodSize
    found: int


def place(
    deployment: Deployment, target: KubernetesTarget, facts: Facts, subject: Subject
) -> Placed:
    """Plan a replica for the nodes, and see that as many as are asked for have room.

    Raises:
        Refusal: With what is missing.
    """
    tried = _best(deployment, target, facts, subject)
    need, most = deployment.scaling.replicas.low, deployment.scaling.replicas.high
    notes = list(tried.world.notes)
    if tried.found < need:
        refusal = no_room(
            deployment, target, facts, tried.world.nodes, tried.pod, tried.found
        )  # fmt: skip
        if not target.autoscaled_nodes:
            raise refusal
        notes.append(f"nodes must be added: {refusal.message}")
    elif tried.found < most:
        notes.append(
            f"the nodes have room for {tried.found} replica(s) now, and scaling.replicas goes up to"
            f" {most}: more wait until there is room"
        )
    world = tried.world
    return Placed(world.deployment, world.facts, tried.choice, tried.pod, tuple(notes))


def _best(
    deployment: Deployment, target: KubernetesTarget, facts: Facts, subject: Subject
) -> _Tried:
    """The first way of planning that has room; else the one that has the most.

    Raises:
        Refusal: When a replica fits on no node at all, whatever is free.
    """
    refused: list[tuple[int, Refusal]] = []
    best: _Tried | None = None
    for world in worlds(deployment, target, facts):
        try:
            tried = _try(deployment, target, facts, subject, world)
        except Refusal as refusal:
            refused.append((world.facts.machine.memory, refusal))
            continue
        if tried.found >= deployment.scaling.replicas.low:
            return tried
        if best is None or tried.found > best.found:
            best = tried
    if best is not None:
        return best
    _, last = max(refused, key=lambda one: one[0])  # of the largest share of a node
    fixes = (*last.fixes, *other_gpus(facts, deployment))
    raise Refusal(last.message, path=last.path, hint=last.hint, fixes=fixes)


def _try(
    deployment: Deployment,
    target: KubernetesTarget,
    facts: Facts,
    subject: Subject,
    world: World,
) -> _Tried:
    choice = choose(world.deployment, world.facts, subject)
    pod = pod_size(world.deployment, target, world.facts, subject, choice, world.nodes)
    beside = freed(deployment, facts, pod) + standing(deployment, facts)
    return _Tried(world, choice, pod, room(world.nodes, resources(pod, target)) + beside)
