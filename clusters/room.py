"""Whether pods find room on other nodes, before anything is changed: pure.

Pods are placed as the scheduler would allow it: requests, node selectors, taints, cordons. The
largest comes first, and each goes where it fits first. It refuses to guess what it cannot count:
volumes, quotas and the spread of pods are found out by the move itself, which keeps the old pods
until the new ones serve.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clusters.facts import pod_requests, requested
from clusters.model import Manifest
from clusters.nodes import is_ready
from clusters.quantities import parse

GIB = 2**30
MOST_NODES = 8
"""Nodes that a refusal names one by one."""
HARD = ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pod that must come up elsewhere."""

    what: str
    """`replica of chat`."""
    spec: Manifest = field(repr=False)

    @property
    def asks(self) -> dict[str, float]:
        """What it requests, by resource."""
        return pod_requests(self.spec)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happens in a drain: pods come up, and when they serve, others go."""

    coming: tuple[Wanted, ...]
    going: tuple[Manifest, ...] = ()
    """Pods that end afterwards; what they held is free for what comes later."""
    may_wait: bool = False
    """Whether nodes are added for pods that do not fit."""


@dataclass(frozen=True, slots=True)
class Short:
    """Pods of one kind that fit nowhere."""

    wanted: Wanted
    count: int
    """How many of these do not fit."""
    of: int
    """How many had to."""
    nodes: tuple[str, ...]
    """Why not, of each other node, as it is when the ones that fit are placed."""
    may_wait: bool = False

    def __str__(self) -> str:
        some = f"{self.count} of {self.of} pods" if self.of > 1 else "the pod"
        nodes = "; ".join(self.nodes[:MOST_NODES]) or "there is no other node"
        more = len(self.nodes) - MOST_NODES
        others = f"; and {more} other nodes" if more > 0 else ""
        what = f"{self.wanted.what}: {amounts(self.wanted.asks)}"
        return f"{some} ({what}) fit nowhere else: {nodes}{others}"


class Room:
    """What is free on the nodes, as changes come and go."""

    def __init__(self, nodes: Iterable[Manifest], pods: Iterable[Manifest], without: str) -> None:
        taken = requested(pods)
        kept = [node for node in nodes if node["metadata"]["name"] != without]
        self._nodes = sorted(copy.deepcopy(kept), key=lambda node: node["metadata"]["name"])
        self._free = {
            node["metadata"]["name"]: _free(node, taken.get(node["metadata"]["name"], {}))
            for node in self._nodes
        }

    def after(self, changes: Iterable[Change]) -> tuple[Short, ...]:
        """Let the changes happen one after another; what finds no room."""
        short: list[Short] = []
        for change in changes:
            short += self._place(change)
            for node, held in requested(change.going).items():
                if node in self._free:
                    _add(self._free[node], held, 1)
        return tuple(short)

    def _place(self, change: Change) -> Iterable[Short]:
        ordered = sorted(change.coming, key=_size, reverse=True)
        left = [wanted for wanted in ordered if not self._take(wanted)]
        for what in dict.fromkeys(wanted.what for wanted in left):
            alike = [wanted for wanted in left if wanted.what == what]
            of = sum(wanted.what == what for wanted in ordered)
            why = tuple(self._why(node, alike[0]) for node in self._nodes)
            yield Short(alike[0], len(alike), of, why, change.may_wait)

    def _take(self, wanted: Wanted) -> bool:
        for node in self._nodes:
            free = self._free[node["metadata"]["name"]]
            if not unfit(node, wanted.spec) and not _lacking(free, wanted.asks):
                _add(free, wanted.asks, -1)
                return True
        return False

    def _why(self, node: Manifest, wanted: Wanted) -> str:
        name = node["metadata"]["name"]
        reason = unfit(node, wanted.spec)
        if reason:
            return f"{name} is {reason}"
        free = self._free[name]
        lacking = _lacking(free, wanted.asks)
        return (
            f"{name} has {amounts({what: max(0.0, free.get(what, 0.0)) for what in lacking})} free"
        )


def unfit(node: Manifest, spec: Manifest) -> str:
    """Why the scheduler would not place such a pod on the node, however empty; or nothing."""
    if node["spec"].get("unschedulable"):
        return "cordoned"
    if not is_ready(node):
        return "not ready"
    labels = node["metadata"].get("labels") or {}
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"without label {key}={value}"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] in HARD and not _tolerated(taint, spec.get("tolerations") or ()):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"tainted {taint['key']}{value}"
    return ""


def _tolerated(taint: Mapping[str, str], tolerations: Iterable[Mapping[str, str]]) -> bool:
    return any(
        toleration.get("key") in (None, "", taint["key"])
        and toleration.get("effect") in (None, "", taint["effect"])
        and (
            toleration.get("operator") == "Exists"
            or (toleration.get("value") or "") == (taint.get("value") or "")
        )
        for toleration in tolerations
    )


def _free(node: Manifest, taken: Mapping[str, float]) -> dict[str, float]:
    has = node.get("status", {}).get("allocatable", {})
    free = {name: float(parse(value)) for name, value in has.items()}
    _add(free, taken, -1)
    return free


def _add(free: dict[str, float], held: Mapping[str, float], sign: int) -> None:
    for name, amount in held.items():
        free[name] = free.get(name, 0.0) + sign * amount


def _lacking(free: Mapping[str, float], asks: Mapping[str, float]) -> list[str]:
    return [name for name, amount in asks.items() if amount > free.get(name, 0.0) + 1e-9]


def _size(wanted: Wanted) -> tuple[float, float]:
    """Devices first, then memory."""
    asks = wanted.asks
    devices = sum(amount for name, amount in asks.items() if "/" in name)
    return devices, asks.get("memory", 0.0)


def amounts(asks: Mapping[str, float]) -> str:
    """Requests for a person: `4 cores, 16.0 GiB memory, 1 nvidia.com/gpu`."""
    told = [_amount(name, amount) for name, amount in asks.items() if name != "pods"]
    return ", ".join(told) or "room for no more pods"


def _amount(name: str, amount: float) -> str:
    if name == "cpu":
        return f"{amount:g} cores"
    if name in ("memory", "ephemeral-storage"):
        return f"{amount / GIB:.1f} GiB {'memory' if name == 'memory' else 'disk'}"
    return f"{amount:g} {name}"


def summary(wanted: Sequence[Wanted]) -> str:
    """`2 x replica of chat (4 cores, 16.0 GiB memory)`."""
    kinds = Counter(one.what for one in wanted)
    first = {one.what: one for one in reversed(wanted)}
    return ", ".join(
        f"{count} x {what} ({amounts(first[what].asks)})" for what, count in kinds.items()
    )
