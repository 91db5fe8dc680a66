"""What a part takes with it, as lines for people and as plain data. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bare_metal.maintaining.effects import Effects
from bare_metal.maintaining.work import Work

MOST_NAMED = 4


def effect_lines(effects: Effects) -> Iterator[str]:
    """What a part takes with it, for people."""
    part = effects.part
    yield f"{part.name} ({part.kind}): {effects.cables} cables go dark"
    if effects.hosts:
        yield f"  hosts that go down: {', '.join(effects.hosts)}"
    for loss in effects.rails:
        yield f"  rail {loss.rail} of {loss.unit}: lost by {_named(loss.hosts)}"
    if effects.rails:
        yield "  a replica inside one host does not notice; what spans these hosts fails or waits"
    if effects.capacity < 1:
        yield f"  leaves keep at least {effects.capacity:.0%} of their uplinks"
    if effects.silent and effects.capacity == 1:
        yield "  nothing else"


def effect_data(effects: Effects, works: Mapping[str, Work]) -> dict[str, Any]:
    """The same as plain data, with what runs on the hosts: stable keys, for scripts."""
    return {
        "part": effects.part.name,
        "kind": effects.part.kind,
        "cables": effects.cables,
        "hosts": list(effects.hosts),
        "rails": [
            {"unit": loss.unit, "rail": loss.rail, "hosts": list(loss.hosts)}
            for loss in effects.rails
        ],
        "uplinks_kept": round(effects.capacity, 4),
        "work": {name: asdict(work) for name, work in works.items()},
    }


def _named(hosts: tuple[str, ...]) -> str:
    more = len(hosts) - MOST_NAMED
    return ", ".join(hosts[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


__all__ = ["effect_data", "effect_lines"]
