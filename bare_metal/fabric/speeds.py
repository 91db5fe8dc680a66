"""Links that are up, but narrower or slower than declared. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.identity import Identified
from bare_metal.fabric.model import Cable, End, FabricPlan
from bare_metal.fabric.seen import SeenFabric


def check_speeds(plan: FabricPlan, seen: SeenFabric, who: Identified) -> Iterator[Fault]:
    """Each link that agreed on something else, once."""
    for low, low_port, high, high_port, link in seen.links():
        if link != plan.link:
            ends = (who.end(low.id, low_port), who.end(high.id, high_port))
            yield slow(plan, ends, link)


def slow(plan: FabricPlan, joined: tuple[End, End], link: str) -> Fault:
    """A cable that runs at another speed or width than declared, by its two ends."""
    cable = Cable(*sorted(joined, key=lambda end: plan.heights.get(end.node, 0)))
    narrow = "x" in link and link.partition("x")[0] != plan.link.partition("x")[0]
    kind = "width" if narrow else "speed"
    ends: tuple[End, ...] = tuple(sorted(cable))
    return Fault(
        f"fabric.{kind}", Verdict.DEGRADED,
        f"the cable between {plan.place(cable.low)} and {plan.place(cable.high)} runs at {link},"
        f" declared is {plan.link}",
        ends, measured=link, expected=plan.link,
        fix="seat it anew at both ends; then another cable, then another port",
    )  # fmt: skip
