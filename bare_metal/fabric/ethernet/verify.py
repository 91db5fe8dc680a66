"""Neighbours that devices tell of, held against the cable plan: every rule, and one verdict. Pure.

The rules of cabling are those of every fabric; the others are of what LLDP and the devices'
interfaces tell. What is not known is a fault of its own with the verdict unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bare_metal.fabric.cabling import check_cabling
from bare_metal.fabric.ethernet.answers import Answers
from bare_metal.fabric.ethernet.joining import Joined, joined
from bare_metal.fabric.ethernet.naming import check_names
from bare_metal.fabric.ethernet.telling import (
    check_agreement,
    check_asked,
    check_interfaces,
    check_mtus,
    check_silence,
    check_speeds,
)
from bare_metal.fabric.findings import Fault, verdict_of
from bare_metal.fabric.model import FabricPlan
from bare_metal.fabric.verify import Report

ETHERNET_RULES: Mapping[str, Callable[[Joined], Iterable[Fault]]] = {
    "cabling": lambda case: check_cabling(case.judged, case.found, case.here),
    "names": check_names,
    "speeds": check_speeds,
    "mtus": check_mtus,
    "interfaces": check_interfaces,
    "silence": check_silence,
    "agreement": check_agreement,
    "asked": check_asked,
}
"""Every rule, by name."""


def verify_neighbours(
    plan: FabricPlan, answers: Answers, rules: Iterable[str] = tuple(ETHERNET_RULES)
) -> Report:
    """Hold what hosts and switches tell of their neighbours against the plan.

    Args:
        plan: A plan of an Ethernet fabric.
        answers: What each host said, and each switch that was to be asked.
        rules: Those to apply.
    """
    case = joined(plan, answers)
    faults = tuple(fault for name in rules for fault in ETHERNET_RULES[name](case))
    nodes = len(case.here & plan.racks.keys())
    return Report(verdict_of(faults), faults, nodes, len(case.found) // 2)
