"""What goes down with a part: hosts, rails of hosts, and capacity between what stays up. Pure.

All of it follows from the cable plan. That a host with a rail less can be used at all is said by
nobody: NCCL opens every adapter that it is told of, so a job that spans hosts fails or waits on it,
while a replica inside one host does not notice. Says nothing of what runs where.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from bare_metal.fabric import Cable, FabricPlan
from bare_metal.maintaining.part import Part


@dataclass(frozen=True, slots=True)
class RailLoss:
    """A rail that hosts of a unit lose."""

    unit: str
    rail: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """What a part takes with it."""

    part: Part
    hosts: tuple[str, ...]
    """Hosts that go down."""
    rails: tuple[RailLoss, ...]
    """Rails that hosts lose which stay up."""
    cables: int
    """Cables that go dark."""
    capacity: float
    """Least share of its uplinks that any leaf keeps which stays up: 1 is all of them."""

    @property
    def touched(self) -> tuple[str, ...]:
        """Hosts that go down, or lose a rail."""
        lost = (host for loss in self.rails for host in loss.hosts)
        return tuple(dict.fromkeys((*self.hosts, *lost)))

    @property
    def silent(self) -> bool:
        """Whether no host notices: only bandwidth between leaves is less."""
        return not self.hosts and not self.rails


def effects_of(plan: FabricPlan, part: Part) -> Effects:
    """What a part takes with it.

    Args:
        plan: The cable plan.
        part: What goes down.
    """
    dark = [one for one in plan.cables if _touches(one, part.nodes)]
    hosts = (part.host,) if part.host else ()
    rails = tuple(_rails(plan, part)) if not part.host else ()
    return Effects(part, hosts, rails, len(dark), _capacity(plan, part))


def _touches(cable: Cable, nodes: frozenset[str]) -> bool:
    return cable.low.node in nodes or cable.high.node in nodes


def _rails(plan: FabricPlan, part: Part) -> Iterable[RailLoss]:
    """Rails that are lost with leaves; a leaf that carries several loses each of them."""
    lost: dict[tuple[str, int], list[str]] = {}
    at = {one.name: one for one in plan.adapters}
    for low, high in plan.cables:
        if high.node in part.nodes and low.node in at:
            adapter = at[low.node]
            lost.setdefault((adapter.unit, adapter.rail), []).append(adapter.host)
    for (unit, rail), hosts in sorted(lost.items()):
        yield RailLoss(unit, rail, tuple(sorted(hosts)))


def _capacity(plan: FabricPlan, part: Part) -> float:
    """The least share of uplinks that a leaf keeps, over the leaves that stay up; what a spine
    loses of its own counts for each leaf below it."""
    heights = plan.heights
    kept = _kept(plan, part.nodes, above=2)
    up: Counter[str] = Counter()
    left: dict[str, float] = defaultdict(float)
    for low, high in plan.cables:
        if heights[low.node] != 1 or low.node in part.nodes:
            continue
        up[low.node] += 1
        left[low.node] += 0.0 if high.node in part.nodes else kept.get(high.node, 1.0)
    return min((left[leaf] / up[leaf] for leaf in up), default=1.0)


def _kept(plan: FabricPlan, gone: frozenset[str], *, above: int) -> dict[str, float]:
    """Share of its uplinks that each node of a height keeps, where it has any."""
    up: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for low, high in plan.cables:
        if plan.heights[low.node] == above:
            up[low.node] += 1
            left[low.node] += high.node not in gone
    return {node: left[node] / up[node] for node in up}


__all__ = ["Effects", "RailLoss", "effects_of"]
