"""The cable plan in the form that `ibnetdiscover` prints, which the simulator `ibsim` reads.

The identifiers (GUIDs) are made up from the order of the plan, since a plan has none: they are good
for a simulator and for a comparison by names, and say nothing of real devices.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.fabric.model import Cable, FabricPlan

ADAPTERS, SWITCHES = 0x0C00_0000_0000, 0x0A00_0000_0000
"""Where made-up identifiers begin."""


def netfile(plan: FabricPlan) -> str:
    """The plan as `ibnetdiscover` would print it."""
    ids = identifiers(plan)
    ports: dict[str, list[Cable]] = {}
    for low, high in plan.cables:
        ports.setdefault(low.node, []).append(Cable(low, high))
        ports.setdefault(high.node, []).append(Cable(high, low))
    return "\n".join(_lines(plan, ids, ports)) + "\n"


def identifiers(plan: FabricPlan) -> dict[str, str]:
    """The made-up identifier of each node, as the format has it, by the node's name."""
    switches = {s.name: f"S-{SWITCHES + at:016x}" for at, s in enumerate(plan.switches)}
    adapters = {a.name: f"H-{ADAPTERS + 2 * at:016x}" for at, a in enumerate(plan.adapters)}
    return {**switches, **adapters}


def _lines(plan: FabricPlan, ids: dict[str, str], ports: dict[str, list[Cable]]) -> Iterator[str]:
    for switch in plan.switches:
        guid = ids[switch.name][2:].lstrip("0")
        yield f"switchguid=0x{guid}({guid})"
        head = f'Switch\t{plan.shape.radix} "{ids[switch.name]}"\t\t# "{switch.name}"'
        yield f"{head} enhanced port 0 lid 0 lmc 0"
        yield from _ports(plan, ids, ports.get(switch.name, []))
    for adapter in plan.adapters:
        yield f"caguid=0x{ids[adapter.name][2:].lstrip('0')}"
        yield f'Ca\t1 "{ids[adapter.name]}"\t\t# "{adapter.name}"'
        yield from _ports(plan, ids, ports[adapter.name])


def _ports(plan: FabricPlan, ids: dict[str, str], cables: list[Cable]) -> Iterator[str]:
    for here, there in sorted(cables, key=lambda cable: cable.low.port):
        peer = f'"{ids[there.node]}"[{there.port}]'
        yield f'[{here.port}]\t{peer}\t\t# "{there.node}" lid 0 {plan.link}'
    yield ""
