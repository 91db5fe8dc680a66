"""Faults of the cabling: missing, extra, moved and swapped cables, and nodes that are away.

A switch or a host that does not answer at all is one fault, and not one for each of its cables.
Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.identity import Identified
from bare_metal.fabric.model import Cable, End, FabricPlan
from bare_metal.fabric.seen import SeenFabric
from bare_metal.fabric.tangles import Tangle, tangles

Found = Mapping[End, End]


def found_cables(seen: SeenFabric, who: Identified) -> dict[End, End]:
    """What is joined to what, in the names of the plan, from both ends."""
    found: dict[End, End] = {}
    for low, low_port, high, high_port, _ in seen.links():
        one, other = who.end(low.id, low_port), who.end(high.id, high_port)
        found[one], found[other] = other, one
    return found


def check_cabling(plan: FabricPlan, found: Found, here: set[str]) -> Iterator[Fault]:
    """All faults of the cabling, each once.

    Args:
        plan: What is to be joined to what.
        found: What is, from both ends.
        here: Names of the nodes that answered, or that another saw.
    """
    alone: list[Cable] = []
    for tangle in tangles(plan, found):
        if tangle.found:
            yield _misplaced(plan, tangle)
        else:
            alone += tangle.planned
    yield from _missing(plan, alone, here)


def _misplaced(plan: FabricPlan, tangle: Tangle) -> Fault:
    if not tangle.planned:
        return _extra(plan, tangle)
    crossed = tangle.ring and any(_crosses(plan, cable) for cable in tangle.found)
    kind = "rail-swap" if crossed else "swapped-cables" if tangle.ring else "moved-cable"
    leads = _leads(plan, tangle)
    head = f"{len(tangle.planned)} cables are swapped" if tangle.ring else "a cable is elsewhere"
    rails = ", over rails, though every port is up" if crossed else ""
    return Fault(
        f"fabric.{kind}",
        Verdict.FAIL,
        f"{head}{rails}: {'; '.join(leads)}",
        tangle.ends,
        measured="; ".join(f"{low} - {high}" for low, high in tangle.found),
        expected="; ".join(f"{low} - {high}" for low, high in tangle.planned),
        fix="plug each end in where it is planned, then verify again",
    )


def _crosses(plan: FabricPlan, cable: Cable) -> bool:
    low, high = (plan.rails.get(end.node, 0) for end in cable)
    return bool(low and high and low != high)


def _leads(plan: FabricPlan, tangle: Tangle) -> Iterator[str]:
    for low, high in tangle.found:
        planned = plan.peers.get(low)
        instead = (
            f", planned is {plan.place(planned)}" if planned else ", where no cable is planned"
        )
        yield f"{plan.place(low)} leads to {plan.place(high)}{instead}"
    going = {end for cable in tangle.found for end in cable}
    for low, high in tangle.planned:
        for end, peer in ((low, high), (high, low)):
            if end not in going:
                yield f"nothing comes to {plan.place(end)}, planned is {plan.place(peer)}"


def _extra(plan: FabricPlan, tangle: Tangle) -> Fault:
    (low, high), *_ = tangle.found
    return Fault(
        "fabric.extra-cable", Verdict.DEGRADED,
        f"a cable that is not planned joins {plan.place(low)} and {plan.place(high)}",
        tangle.ends, measured=f"{low} - {high}", expected="no cable",
        fix="pull it, or declare what it is for",
    )  # fmt: skip


def _missing(plan: FabricPlan, cables: Iterable[Cable], here: set[str]) -> Iterator[Fault]:
    left = list(cables)
    switches = {switch.name for switch in plan.switches} - here
    by_switch: defaultdict[str, list[Cable]] = defaultdict(list)
    rest = []
    for cable in left:
        gone = [end.node for end in cable if end.node in switches]
        by_switch[gone[0]].append(cable) if gone else rest.append(cable)
    yield from (_away(plan, name, cables, "switch") for name, cables in by_switch.items())
    yield from _hosts_or_cables(plan, rest, here)


def _hosts_or_cables(plan: FabricPlan, cables: list[Cable], here: set[str]) -> Iterator[Fault]:
    of_host = {one.name: one.host for one in plan.adapters}
    answering = {of_host[name] for name in here if name in of_host}
    by_host: defaultdict[str, list[Cable]] = defaultdict(list)
    for cable in cables:
        host = of_host.get(cable.low.node, "")
        if host and host not in answering and plan.shape.rails > 1:
            by_host[host].append(cable)
        else:
            yield _missing_cable(plan, cable, here)
    yield from (_away(plan, host, cables, "host") for host, cables in by_host.items())


def _away(plan: FabricPlan, name: str, cables: list[Cable], kind: str) -> Fault:
    rack = plan.racks.get(name) or plan.racks[cables[0].low.node]
    return Fault(
        f"fabric.missing-{kind}", Verdict.FAIL,
        f"{name} in rack {rack} does not answer: none of its {len(cables)} cables is up",
        tuple(sorted({end for cable in cables for end in cable})),
        measured="no answer", expected=f"{len(cables)} cables",
        fix=f"see whether the {kind} has power and has started",
    )  # fmt: skip


def _missing_cable(plan: FabricPlan, cable: Cable, here: set[str]) -> Fault:
    silent = [end.node for end in cable if end.node not in here]
    why = f"; {silent[0]} does not answer" if silent else ""
    fix = "see whether it is plugged in at both ends"
    return Fault(
        "fabric.missing-cable", Verdict.FAIL,
        f"no cable is up between {plan.place(cable.low)} and {plan.place(cable.high)}{why}",
        tuple(sorted(cable)), measured="nothing", expected=f"{cable.low} - {cable.high}",
        fix=f"{fix}, and whether the host's adapter is up" if silent else fix,
    )  # fmt: skip
