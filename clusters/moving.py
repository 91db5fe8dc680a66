"""What a node's drain means for one service: what has to move, and how. Only looks.

A replica cannot be moved alone: Ray Serve cannot be told which one to end. So the release moves as
a whole, into new pods of its runtime. Where the node holds what the runtime cannot lose (its head
without a Redis, its only gateway), the release moves into a new runtime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from clusters import names
from clusters.desired import runtime_id
from clusters.live import LiveRuntime
from clusters.model import Manifest, Shape
from clusters.objects import sizes
from clusters.occupants import has_ended, node_of, role_of, runtime_of
from clusters.room import Change, Wanted
from clusters.shape import shape_of
from clusters.target import ClusterTarget
from llmops.errors import RefusedError
from llmops.releases import History, Release
from serving.serve_config import application_name


class How(StrEnum):
    """What has to be done about a service's pods on a node."""

    APART = "apart"
    """The release moves into a new runtime."""
    WITHIN = "within"
    """The release moves into new pods of its runtime."""
    EVICT = "evict"
    """No replica of it is there: what is left is evicted, one pod after another."""
    NOTHING = "nothing"
    """None of its pods is there."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A service on the node, as it is now."""

    namespace: str
    service: str
    how: How
    why: str
    """What makes it so, for a person."""
    live: Release
    runtime: LiveRuntime | None
    """What the live release runs in; None when its RayService is not there."""
    shape: Shape
    pods: tuple[Manifest, ...] = field(repr=False)
    """All its pods, on whatever node, that have not ended."""
    node: str = ""
    continued: str = ""
    """Id of the runtime that a move which was cut off goes on in; empty without one."""

    @property
    def here(self) -> tuple[Manifest, ...]:
        """Its pods on the node."""
        return tuple(pod for pod in self.pods if node_of(pod) == self.node)

    def of(self, runtime: str, role: str) -> tuple[Manifest, ...]:
        """Its pods of a role in a runtime that were given a node."""
        found = (pod for pod in self.pods if runtime_of(pod) == runtime and role_of(pod) == role)
        return tuple(pod for pod in found if node_of(pod))

    @property
    def mark(self) -> str:
        """What keeps the moved release's pods apart: the same when a killed drain is run again."""
        return f"release {self.live.number} moved from {self.node}"


def look(target: ClusterTarget, service: str, node: str) -> Stay:
    """How a service stands on the node.

    Raises:
        RefusedError: When it has no live release that could be moved.
    """
    history = target.store.read(service)[0]
    live = history.live
    if live is None:
        raise RefusedError(
            f"{target.namespace}/{service} has pods on {node} and no live release to move",
            hint=f"llmops history {service} -N {target.namespace}; deploy it to its end, or destroy"
            " it",
        )
    pods = target.client.list("Pod", target.namespace, {names.SERVICE: service})
    held = tuple(pod for pod in pods if not has_ended(pod))
    runtime = target.steps(service).live().holding(live.number)
    shape = shape_of(live.plan)
    here = [pod for pod in held if node_of(pod) == node]
    how, why = decide(here, runtime, shape, _busy(target, live, runtime, here), live.number)
    return Stay(
        target.namespace, service, how, why, live, runtime, shape, held, node,
        _continued(history, live),
    )  # fmt: skip


def _busy(
    target: ClusterTarget, live: Release, runtime: LiveRuntime | None, here: list[Manifest]
) -> int:
    """How many pods of the node have a replica of the live release. When no gateway tells, all
    that may have one count."""
    mine = [
        pod for pod in here
        if runtime and runtime_of(pod) == runtime.id and role_of(pod) == names.REPLICA
    ]  # fmt: skip
    if runtime is None or not mine:
        return 0
    gateways = target.steps(live.service).gateways(runtime.id)
    where = gateways.replica_ips(application_name(live.service, live.number))
    if where is None:
        return len(mine)
    return sum(pod.get("status", {}).get("podIP") in where for pod in mine)


def decide(
    here: list[Manifest], runtime: LiveRuntime | None, shape: Shape, busy: int, number: int
) -> tuple[How, str]:
    """What has to be done about the pods on the node, and why.

    Args:
        here: The service's pods there.
        runtime: What the live release runs in.
        shape: Of its pods.
        busy: How many of them have a replica of the live release.
        number: The live release's.
    """
    if not here:
        return How.NOTHING, ""
    if runtime is None:
        return How.EVICT, "what an earlier run left is settled"
    roles = {role_of(pod) for pod in here if runtime_of(pod) == runtime.id}
    if names.HEAD in roles and shape.target.redis is None:
        return How.APART, "its head is here, and a lost head takes its Ray cluster along"
    if names.GATEWAY in roles and shape.target.gateways == 1:
        return How.APART, "its only gateway is here, and nobody would answer without it"
    if busy:
        return How.WITHIN, f"{busy} of its replicas {'is' if busy == 1 else 'are'} here"
    counts = Counter(role_of(pod) for pod in here)
    told = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
    return How.EVICT, f"{told}; no replica of release {number}"


def _continued(history: History, live: Release) -> str:
    staging = history.staging
    mine = staging is not None and staging.rollback_of == live.number
    return runtime_id(staging) if staging is not None and mine else ""


def changes(stay: Stay) -> tuple[Change, ...]:
    """What happens to the service's pods, one after another, for the count of free room."""
    return (*_release(stay), *(_eviction(stay, pod) for pod in _evicted(stay)))


def _release(stay: Stay) -> Iterable[Change]:
    """The whole release comes up a second time; then its first pods end."""
    if stay.runtime is None or stay.how not in (How.APART, How.WITHIN):
        return
    templates = _templates(stay.runtime)
    coming = {names.REPLICA: stay.live.plan.layout.replicas_low}
    if stay.how is How.APART:
        coming |= {names.HEAD: 1, names.GATEWAY: stay.shape.target.gateways}
    wanted: list[Wanted] = []
    for role, count in coming.items():
        missing = max(0, count - _there_already(stay, stay.runtime, role))
        wanted += [Wanted(f"{role} of {stay.service}", templates[role])] * missing
    going = [pod for role in coming for pod in stay.of(stay.runtime.id, role)]
    kept = tuple(pod for pod in going if node_of(pod) != stay.node)
    yield Change(tuple(wanted), kept, stay.shape.target.autoscaled_nodes)


def _there_already(stay: Stay, runtime: LiveRuntime, role: str) -> int:
    """Pods of the new set that an earlier run, which was cut off, has brought up."""
    if not stay.continued or (stay.how is How.APART) == (stay.continued == runtime.id):
        return 0
    found = len(stay.of(stay.continued, role))
    first_set = stay.live.plan.layout.replicas_low if stay.how is How.WITHIN else 0
    return max(0, found - first_set)


def _evicted(stay: Stay) -> tuple[Manifest, ...]:
    """Pods of the node that are evicted and made anew elsewhere."""
    if stay.runtime is None or stay.how in (How.APART, How.NOTHING):
        return ()
    mine = [pod for pod in stay.here if runtime_of(pod) == stay.runtime.id]
    return tuple(pod for pod in mine if role_of(pod) in (names.HEAD, names.GATEWAY))


def _eviction(stay: Stay, pod: Manifest) -> Change:
    wanted = Wanted(f"{role_of(pod)} of {stay.service}", pod["spec"])
    return Change((wanted,), (), stay.shape.target.autoscaled_nodes)


def _templates(runtime: LiveRuntime) -> dict[str, Manifest]:
    """The spec of a pod of each role, as the runtime's RayService has it."""
    config = runtime.document["spec"]["rayClusterConfig"]
    groups = {g["groupName"]: g["template"]["spec"] for g in config["workerGroupSpecs"]}
    head = config["headGroupSpec"]["template"]["spec"]
    if config.get("enableInTreeAutoscaling"):
        beside = {"resources": sizes.resources(sizes.AUTOSCALER).to_dict()}
        head = {**head, "containers": [*head["containers"], beside]}
    return {**groups, names.HEAD: head}
