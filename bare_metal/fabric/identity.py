"""Which node of the plan each node that was found is.

By what it calls itself, where that is in the plan and nobody else says the same. Otherwise by what
it is joined to: if the ports around it are those that the plan joins to one node, it is that one
under a wrong name. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bare_metal.fabric.model import End, FabricPlan
from bare_metal.fabric.seen import SeenFabric, SeenNode


@dataclass(frozen=True, slots=True)
class Identified:
    """Names of the plan for what was found."""

    names: Mapping[str, str]
    """By identifier: the name in the plan, or what stands for a node that is in none."""
    strangers: tuple[SeenNode, ...]
    """Nodes that the plan has no place for."""
    misnamed: Mapping[str, str]
    """By identifier: the name in the plan of a node that calls itself something else."""
    shared: Mapping[str, tuple[str, ...]]
    """By a name that several nodes give: their identifiers."""

    def end(self, node: str, port: int) -> End:
        """A port that was found, in the names of the plan."""
        return End(self.names[node], port)


def identify(plan: FabricPlan, seen: SeenFabric) -> Identified:
    """Find each node's place in the plan."""
    callers: defaultdict[str, list[str]] = defaultdict(list)
    for node in seen.nodes.values():
        callers[node.name].append(node.id)
    names = {ids[0]: name for name, ids in callers.items() if len(ids) == 1 and name in plan.racks}
    inferred = _inferred(plan, seen, names)
    names |= inferred
    strangers = tuple(node for node in seen.nodes.values() if node.id not in names)
    for node in strangers:
        names[node.id] = f"{node.name or 'a node without a name'} ({node.id[2:]})"
    misnamed = {key: name for key, name in inferred.items() if seen.nodes[key].name != name}
    shared = {name: tuple(ids) for name, ids in callers.items() if len(ids) > 1 and name}
    return Identified(names, strangers, misnamed, shared)


def _inferred(plan: FabricPlan, seen: SeenFabric, known: Mapping[str, str]) -> dict[str, str]:
    """Places of nodes by their neighbours, best founded first; each place is given once."""
    taken = set(known.values())
    votes: list[tuple[int, str, str]] = []
    for node in seen.nodes.values():
        if node.id not in known:
            for name, count in _votes(plan, node, known).items():
                votes.append((count, node.id, name))
    found: dict[str, str] = {}
    # A node that gives the name itself comes first among equals: one of two that share it is right.
    votes.sort(key=lambda vote: (-vote[0], seen.nodes[vote[1]].name != vote[2], vote))
    for _, key, name in votes:
        if key not in found and name not in taken:
            found[key] = name
            taken.add(name)
    return found


def _votes(plan: FabricPlan, node: SeenNode, known: Mapping[str, str]) -> Counter[str]:
    votes: Counter[str] = Counter()
    for port, there in node.ports.items():
        if there.node in known:
            peer = plan.peers.get(End(known[there.node], there.port))
            if peer is not None and peer.port == port:
                votes[peer.node] += 1
    return votes
