"""What somebody wants to work on, by the name that the cable plan gives it. Pure.

A host, a switch, a rail of the whole cluster (`rail3`) or of one unit (`su1/rail3`). Nothing here
says what it takes with it: see `effects`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bare_metal.fabric import FabricPlan
from llmops.errors import InputError
from llmops.spec import nearest

Kind = Literal["host", "leaf", "spine", "core", "rail"]

_RAIL = re.compile(r"(?:(?P<unit>[a-z][-a-z0-9]*)/)?rail-?(?P<rail>[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Part:
    """Something that goes down as a whole."""

    kind: Kind
    name: str
    """As it was asked for."""
    nodes: frozenset[str]
    """Names of the nodes of the fabric that go down: switches, or a host's adapters."""
    host: str = ""
    """The host, where it is one."""


def find_part(plan: FabricPlan, name: str) -> Part:
    """The part of that name.

    Raises:
        InputError: When the plan has none.
    """
    adapters = frozenset(one.name for one in plan.adapters if one.host == name)
    if adapters:
        return Part("host", name, adapters, name)
    for switch in plan.switches:
        if switch.name == name:
            return Part(switch.role, name, frozenset({name}))
    if (asked := _RAIL.fullmatch(name)) and (leaves := _leaves(plan, asked)):
        return Part("rail", name, leaves)
    raise InputError(f"no host, switch or rail '{name}' in {plan.cluster}", hint=_hint(plan, name))


def _leaves(plan: FabricPlan, asked: re.Match[str]) -> frozenset[str]:
    unit, rail = asked["unit"], int(asked["rail"])
    return frozenset(
        one.name
        for one in plan.switches
        if one.role == "leaf" and one.rail == rail and unit in (None, one.unit)
    )


def _hint(plan: FabricPlan, name: str) -> str:
    known = [one.name for one in plan.switches] + sorted({one.host for one in plan.adapters})
    known += [f"rail{rail}" for rail in sorted({one.rail for one in plan.adapters})]
    near = nearest(name, known)
    ways = "a host, a leaf, a spine, rail3, or su1/rail3"
    return f"did you mean '{near}'?" if near else f"expected {ways}, by their names in the plan"


__all__ = ["Kind", "Part", "find_part"]
