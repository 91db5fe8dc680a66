"""Faults of names: nodes without one, with a wrong one, with one that another has as well. Pure.

Names matter because every other message goes by them, and because schedulers' labels are made from
them: an adapter that does not name its host is silently left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.identity import Identified
from bare_metal.fabric.model import End, FabricPlan
from bare_metal.fabric.seen import SeenFabric

FIX = "set its node description: rdma-ndd on hosts, the system name on switches"


def check_names(plan: FabricPlan, seen: SeenFabric, who: Identified) -> Iterator[Fault]:
    """All faults of names and identifiers."""
    for name, ids in sorted(who.shared.items()):
        if name in plan.racks:
            yield _shared(name, ids, who)
    for key, name in sorted(who.misnamed.items(), key=lambda one: one[1]):
        said = seen.nodes[key].name
        if said not in who.shared or said not in plan.racks:
            yield _misnamed(plan, key, name, said)
    for node in who.strangers:
        if node.name not in who.shared or node.name not in plan.racks:
            yield _stranger(node.name, who.names[node.id])
    for node in seen.claimed_twice:
        yield Fault(
            "fabric.duplicate-guid", Verdict.FAIL,
            f"two nodes have the identifier {node.id[2:]}, one of them called {node.name!r}",
            (End(node.name, 0),), measured=node.id[2:], expected="an identifier of its own",
            fix="the subnet manager mixes them up: give one of them its own firmware settings back",
        )  # fmt: skip


def _shared(name: str, ids: tuple[str, ...], who: Identified) -> Fault:
    places = " and ".join(sorted(who.names[key] for key in ids))
    return Fault(
        "fabric.duplicate-name", Verdict.FAIL,
        f"{len(ids)} nodes call themselves {name}; by their cables they are {places}",
        tuple(sorted(End(who.names[key], 0) for key in ids)),
        measured=f"{len(ids)} nodes", expected="one", fix=FIX,
    )  # fmt: skip


def _misnamed(plan: FabricPlan, key: str, name: str, said: str) -> Fault:
    return Fault(
        "fabric.wrong-name", Verdict.DEGRADED,
        f"{name} in rack {plan.racks[name]}, by its cables, calls itself {said!r} ({key[2:]})",
        (End(name, 0),), measured=said, expected=name, fix=FIX,
    )  # fmt: skip


def _stranger(said: str, name: str) -> Fault:
    return Fault(
        "fabric.unknown-node", Verdict.DEGRADED,
        f"a node that is not declared answers: {name}",
        (End(name, 0),), measured=said or "no name", expected="no such node",
        fix="declare it, take it off the fabric, or name it as it is declared",
    )  # fmt: skip
