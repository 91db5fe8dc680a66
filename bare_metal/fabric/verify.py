"""The fabric that was found, held against the plan: every rule, and one verdict.

Pure. What could not be read is a fault of its own with the verdict unknown; the rules that need it
are left out, and never pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bare_metal.fabric.cabling import check_cabling, found_cables
from bare_metal.fabric.counters import check_counters, read_counters
from bare_metal.fabric.findings import Fault, Verdict, verdict_of
from bare_metal.fabric.identity import Identified, identify
from bare_metal.fabric.managers import check_managers, read_managers
from bare_metal.fabric.model import FabricPlan
from bare_metal.fabric.naming import check_names
from bare_metal.fabric.seen import SeenFabric, UnreadableError, read_fabric
from bare_metal.fabric.speeds import check_speeds


@dataclass(frozen=True, slots=True)
class Dump:
    """What the programs printed; empty where one said nothing."""

    discovery: str
    """Of `ibnetdiscover`."""
    errors: str = ""
    """Of `ibqueryerrors`."""
    managers: str = ""
    """Of `sminfo`, of `saquery SMIR`, or of both."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and what follows."""

    verdict: Verdict
    faults: tuple[Fault, ...]
    nodes: int
    """Nodes that answered."""
    cables: int
    """Cables that are up."""


@dataclass(frozen=True, slots=True)
class _Case:
    plan: FabricPlan
    seen: SeenFabric
    who: Identified
    dump: Dump
    earlier: Dump | None


def _counters(case: _Case) -> Iterable[Fault]:
    before = read_counters(case.earlier.errors) if case.earlier else None
    return check_counters(case.plan, case.who, read_counters(case.dump.errors), before)


RULES: Mapping[str, Callable[[_Case], Iterable[Fault]]] = {
    "cabling": lambda case: check_cabling(
        case.plan, found_cables(case.seen, case.who), set(case.who.names.values())
    ),
    "names": lambda case: check_names(case.plan, case.seen, case.who),
    "speeds": lambda case: check_speeds(case.plan, case.seen, case.who),
    "counters": _counters,
    "managers": lambda case: check_managers(read_managers(case.dump.managers)),
}
"""Every rule, by name."""


def verify(
    plan: FabricPlan, dump: Dump, earlier: Dump | None = None, rules: Iterable[str] = tuple(RULES)
) -> Report:
    """Hold a fabric against its plan. With an earlier dump, counters are told by their growth."""
    try:
        seen = read_fabric(dump.discovery)
    except UnreadableError as error:
        return _nothing_known(str(error))
    case = _Case(plan, seen, identify(plan, seen), dump, earlier)
    faults = tuple(fault for name in rules for fault in RULES[name](case))
    return Report(verdict_of(faults), faults, len(seen.nodes), sum(1 for _ in seen.links()))


def _nothing_known(why: str) -> Report:
    fault = Fault(
        "fabric.unknown", Verdict.UNKNOWN,
        f"the fabric is not known: what ibnetdiscover printed cannot be believed: {why}",
        measured="no answer", expected="a whole fabric",
        fix="run it again on a host whose adapter is up; an empty answer is not a healthy one",
    )  # fmt: skip
    return Report(Verdict.UNKNOWN, (fault,), 0, 0)
