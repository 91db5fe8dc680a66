"""How many replicas the nodes of a cluster have room for, and what is said when too few. Pure.

Counts as the scheduler does: whole pods, each on one node, within what pods have not requested. It
does not count what other objects may forbid (quotas, affinities, priorities of others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops.planning.identity import identity
from llmops.planning.layout import asked_tensor, hardware, staying
from llmops.planning.model import Facts, NodeFacts, PodSize
from llmops.planning.passed_over import left_out
from llmops.planning.refusal import Changes, Refusal
from llmops.planning.sizing import GIB
from llmops.spec import Deployment, KubernetesTarget
from llmops.units import Bytes, Replicas

EPSILON = 1e-9
"""Cores are fractions of a thousand."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a pod."""

    key: str
    words: str
    amount: float
    """What one pod takes; never 0."""
    has: Callable[[NodeFacts], float]
    free: Callable[[NodeFacts], float]

    def shown(self, times: float = 1) -> str:
        """An amount in words, with the resource's name."""
        amount = self.amount * times
        if self.key in ("memory", "disk"):
            return f"{Bytes(int(amount)).human()} {self.words}"
        return f"{amount:g} {self.words}"

    def holds(self, node: NodeFacts) -> int:
        """Pods that what is free on a node is enough for, as far as this resource goes."""
        return max(0, int(self.free(node) / self.amount + EPSILON))


def resources(pod: PodSize, target: KubernetesTarget) -> list[Resource]:
    """What a pod takes of a node, the scarcest kind of thing first."""
    found = [
        Resource("gpus", target.gpu_resource, float(pod.gpus.value),
                 lambda n: n.gpus, lambda n: n.gpus_free),
        Resource("memory", "of memory", float(pod.memory.value),
                 lambda n: n.memory, lambda n: n.memory_free),
        Resource("cores", "cores", float(pod.cores.value),
                 lambda n: n.cores, lambda n: n.cores_free),
        Resource("disk", "of ephemeral storage", float(pod.disk.value),
                 lambda n: n.disk, lambda n: n.disk_free),
    ]  # fmt: skip
    return [resource for resource in found if resource.amount]


def room(nodes: Sequence[NodeFacts], takes: Sequence[Resource]) -> int:
    """Pods that fit on what is free."""
    return sum(min(one.holds(node) for one in takes) for node in nodes)


def freed(deployment: Deployment, facts: Facts, pod: PodSize) -> int:
    """Pods that there is room for once the service's own old releases are gone."""
    if deployment.maintenance.strategy != "recreate":
        return 0
    own = [release for release in facts.live if release.service == deployment.name]
    sums = [
        (float(pod.gpus.value), sum(release.gpus for release in own)),
        (float(pod.memory.value), sum(release.memory for release in own)),
        (float(pod.cores.value), sum(release.cores for release in own)),
    ]
    return min(int(held / amount + EPSILON) for amount, held in sums if amount)


def standing(deployment: Deployment, facts: Facts) -> int:
    """Replicas that this very deployment has already: the same file, deployed again or gone on
    with, needs no room beside itself."""
    wanted = identity(deployment, facts)
    own = [release for release in facts.live if release.service == deployment.name]
    mine = any(release.identity == wanted for release in own)
    return deployment.scaling.replicas.low if mine else 0


def no_room(
    deployment: Deployment,
    target: KubernetesTarget,
    facts: Facts,
    nodes: Sequence[NodeFacts],
    pod: PodSize,
    found: int,
) -> Refusal:
    """The refusal of a deployment whose lowest number of replicas does not fit."""
    takes = resources(pod, target)
    need = deployment.scaling.replicas.low
    scarce = min(takes, key=lambda one: sum(one.holds(node) for node in nodes))
    alone = sum(scarce.holds(node) for node in nodes)
    beside = _beside(deployment, facts)
    words = _arithmetic(need, scarce, nodes, found)
    if alone > found:
        whole = ", ".join(one.shown() for one in takes)
        words = f"{need} replica(s) x ({whole}): all of that is free at once for {found}"
    return Refusal(
        f"it does not fit{beside}: {words}{left_out(facts.cluster)}",
        path="scaling.replicas" if need > 1 else _to_blame(deployment, scarce),
        hint=_hint(target, scarce, nodes, need - found),
        fixes=_fixes(deployment, facts, scarce, found),
    )


def _arithmetic(need: int, scarce: Resource, nodes: Sequence[NodeFacts], found: int) -> str:
    have = sum(scarce.has(node) >= scarce.amount for node in nodes)
    free = sum(scarce.holds(node) > 0 for node in nodes)
    missing = scarce.shown(need - found)
    if not have:
        most = max(scarce.has(node) for node in nodes) / scarce.amount
        return f"{need} replica(s) x {scarce.shown()}: the largest node has {scarce.shown(most)}"
    if not free:
        return (
            f"{need} replica(s) x {scarce.shown()}: {have} node(s) have that, and on none of them"
            f" it is free; {missing} more are needed"
        )
    return (
        f"{need} replica(s) x {scarce.shown()}: {have} node(s) have that, and on {free} of these it"
        f" is free, for {found} replica(s); {missing} more are needed"
    )


def _hint(
    target: KubernetesTarget, scarce: Resource, nodes: Sequence[NodeFacts], missing: int
) -> str:
    """What to do in the cluster, where no change to the spec makes room."""
    if scarce.key == "disk" and target.weights.kind == "ephemeral":
        return (
            "keep the weights on a volume (target.weights.kind: pvc), or add nodes with more disk"
        )
    if all(scarce.has(node) < scarce.amount for node in nodes):
        return f"add nodes with {scarce.shown()}, or use a smaller model"
    where = "one node" if missing == 1 else f"{missing} nodes"
    return (
        f"free {scarce.shown()} on {where}, add nodes, or set target.autoscaled_nodes where they"
        " are added by themselves"
    )


def _beside(deployment: Deployment, facts: Facts) -> str:
    own = [str(r.number) for r in staying(deployment, facts) if r.service == deployment.name]
    return f" beside release {', '.join(own)}" if own else ""


def _to_blame(deployment: Deployment, scarce: Resource) -> str:
    asked = asked_tensor(deployment)
    if scarce.key == "gpus" and asked:
        return asked[1]
    if scarce.key == "cores" and hardware(deployment).cores != "auto":
        return "hardware.cores"
    if scarce.key == "memory" and deployment.engine.kv_cache != "auto":
        return "engine.kv_cache"
    return "target"


def _fixes(
    deployment: Deployment,
    facts: Facts,
    scarce: Resource,
    found: int,
) -> list[Changes]:
    """Changes that might make room, the least drastic first."""
    fixes: list[Changes] = []
    if _beside(deployment, facts):
        fixes.append({"maintenance.strategy": "recreate"})
    if found:
        high = deployment.scaling.replicas.high
        same = deployment.scaling.replicas.low == high
        fixes.append({"scaling.replicas": Replicas(found, found if same else high)})
    asked = asked_tensor(deployment)
    if scarce.key == "gpus" and asked:
        fixes += [{asked[1]: count} for count in range(asked[0] - 1, 0, -1)]
    if scarce.key == "cores" and hardware(deployment).cores != "auto":
        fixes.append({"hardware.cores": "auto"})
    if scarce.key == "memory" and deployment.engine.kv_cache != "auto":
        fixes.append({"engine.kv_cache": Bytes(GIB)})
    return fixes
