"""Empties a node of what llmops runs there: capacity first, then traffic, then the pods.

Nothing is changed before there is room for all that must come up on other nodes. After that the
node is cordoned, and each service moves on its own: new replicas are verified before old ones lose
their traffic. Nothing is remembered between runs, so a drain that was cut off anywhere is gone on
with by running it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clusters import evicting
from clusters.moving import How, Stay, changes, look
from clusters.nodes import Nodes, Pods, all_pods
from clusters.occupants import Occupants, occupants
from clusters.ports import Writer
from clusters.room import Room, Short, Wanted, summary
from clusters.target import ClusterTarget
from llmops import workflow
from llmops.errors import RefusedError, TargetError
from llmops.events import Flow, StepBegun, StepEnded

Open = Callable[[str], ClusterTarget]
"""The target of a namespace."""

MOVES = 3
"""Moves of one service in a drain: a replica may come up on a pod of the node that stood idle."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What a drain would do; nothing has been changed."""

    node: str
    cordoned: bool
    """Whether the node takes no pods already."""
    stays: tuple[Stay, ...]
    others: tuple[str, ...]
    """Other people's pods on the node, as `namespace/name`: they are left where they are."""
    unseen: bool
    """Whether there may be pods in namespaces that this user may not look into."""
    short: tuple[Short, ...]
    """What finds no room on other nodes."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.stays) or not self.cordoned

    def steps(self) -> tuple[str, ...]:
        """What will be done, in order, for a person."""
        first = () if self.cordoned else (f"cordon {self.node}",)
        return (*first, *(_told(stay) for stay in self.stays))


def plan_drain(client: Writer, own: str, open_target: Open, node: str) -> DrainPlan:
    """Look at the node and count the room elsewhere.

    Args:
        client: Of the cluster.
        own: Namespace that this user may look into if no other.
        open_target: Gives the target of a namespace.
        node: Its name.

    Raises:
        InputError: When there is no such node.
        RefusedError: When this user may not drain, or a service could not be moved.
    """
    found = Nodes(client, own).find(node)
    pods: Pods = all_pods(client, own)
    who: Occupants = occupants(node, pods.found)
    _require_rights(client, dict.fromkeys(namespace for namespace, _ in who.ours))
    stays = tuple(look(open_target(namespace), service, node) for namespace, service in who.ours)
    room = Room(client.list("Node"), pods.found, without=node)
    short = room.after(change for stay in stays for change in changes(stay))
    cordoned = bool(found["spec"].get("unschedulable"))
    return DrainPlan(node, cordoned, stays, who.others, not pods.whole, short)


def refuse_short(plan: DrainPlan, *, allow_pending: bool) -> tuple[str, ...]:
    """Refuse a drain that finds no room; what is only warned of, where pods may wait for nodes.

    Raises:
        RefusedError: With the arithmetic.
    """
    refused = [short for short in plan.short if not (allow_pending or short.may_wait)]
    if not refused:
        return tuple(str(short) for short in plan.short)
    wanted = [short.wanted for short in refused for _ in range(short.count)]
    raise RefusedError(
        f"{plan.node} is not drained, for want of room: {'. '.join(str(one) for one in refused)}",
        hint=f"free {summary(wanted)} on other nodes, or add nodes; where nodes are added as pods"
        " wait for them, --allow-pending goes on",
    )


def drain(client: Writer, own: str, open_target: Open, plan: DrainPlan) -> Flow[None]:
    """Do what was planned.

    Raises:
        TargetError: When something of ours could not be moved; what serves goes on serving.
    """
    if Nodes(client, own).cordon(plan.node):
        yield StepEnded(f"cordon {plan.node}", 0.0)
    for stay in plan.stays:
        target = open_target(stay.namespace)
        began = time.monotonic()
        text = f"move {stay.namespace}/{stay.service} off {plan.node}"
        yield StepBegun(text)
        yield from _empty(target, stay.service, plan.node)
        yield StepEnded(text, time.monotonic() - began)
    left = occupants(plan.node, all_pods(client, own).found).ours
    if left:
        services = ", ".join("/".join(key) for key in left)
        raise TargetError(
            f"pods of {services} came to {plan.node} meanwhile",
            hint=f"run it again: llmops cluster drain {plan.node}",
            serving=True,
        )


def _empty(target: ClusterTarget, service: str, node: str) -> Flow[None]:
    """Move one service off the node."""

    def now() -> Stay:
        return look(target, service, node)

    def needed() -> str | None:
        stay = now()
        return {How.APART: stay.mark, How.WITHIN: ""}.get(stay.how)

    for _ in range(MOVES):
        yield from workflow.move(target, service, needed)
        yield from _while_serving(evicting.leaving_gone(now))
        if needed() is None:
            break
    else:
        raise TargetError(
            f"replicas of {target.namespace}/{service} come up on {node} again and again",
            hint=f"kubectl get pods -n {target.namespace} -o wide",
            serving=True,
        )
    with target.lock(service, "drained"):
        yield from _while_serving(evicting.evict_rest(target, now()))
        yield from _while_serving(evicting.leaving_gone(now))
    evicting.require_none(target, now())


def _while_serving(flow: Flow[None]) -> Flow[None]:
    """A failure here takes nothing from clients: the live release has its replicas elsewhere."""
    try:
        yield from flow
    except TargetError as error:
        hint = error.hint or "run the drain again: it goes on from here"
        raise TargetError(error.message, hint=hint, serving=True) from error


def _require_rights(client: Writer, namespaces: Iterable[str]) -> None:
    """Refuse what would only be found out half-way."""
    if not client.can_i("patch", "", "nodes"):
        raise RefusedError(
            f"you may not patch nodes in {client.context}, which a drain needs",
            hint="a ClusterRole must allow it; try `kubectl auth can-i patch nodes`",
        )
    for namespace in namespaces:
        if not client.can_i("create", "", "pods", namespace, "eviction"):
            raise RefusedError(
                f"you may not evict pods in namespace {namespace}, which a drain needs",
                hint="a Role must allow it; try"
                f" `kubectl auth can-i create pods --subresource=eviction -n {namespace}`",
            )


def _told(stay: Stay) -> str:
    name = f"{stay.namespace}/{stay.service}"
    coming: list[Wanted] = [wanted for change in changes(stay) for wanted in change.coming]
    anew = f": {summary(coming)} elsewhere" if coming else ""
    verb = {
        How.APART: "moves into a new runtime",
        How.WITHIN: "moves into new replicas",
        How.EVICT: "is settled, and what it leaves there is evicted",
        How.NOTHING: "stays",
    }[stay.how]
    return f"{name} {verb} ({stay.why}){anew}"
