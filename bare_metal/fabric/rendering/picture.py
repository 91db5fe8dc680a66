"""The fabric as a picture: units with their hosts by rack, leaves by rail, spines and cores.

An SVG that scales, with text that stays text. A line between two switches stands for all cables of
the pair, and a host is a small square whose title tells its name, rack and ports, so that a picture
of many hundreds of hosts can be read as a whole and looked into closely. Rails have colours of
Okabe and Ito's palette ("Color Universal Design", 2008), and every leaf says its rail in letters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape

from bare_metal.fabric.model import Adapter, FabricPlan, Switch

MARGIN, LEAF, GAP = 24, 22, 4
HOST, ROW = 14, 16
"""Sizes in pixels: of a host's square, and of a row of them."""

LEVEL, STEEP = 150, 10
"""Height in pixels between two levels of switches at least, and their distance's share of the width
where lines would lie too flat to be told apart."""

CROWD = 600
"""Lines from which on each is drawn fainter."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8c8c8c")

_STYLE = """\
  <style>
    svg { --ink: #1f2328; --faint: #59636e; --paper: #ffffff; --box: #f3f4f6; --host: #d0d7de; }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #f0f3f6; --faint: #a9b1ba; --paper: #0d1117; --box: #161b22; --host: #484f58; }
    }
    text { font: 11px system-ui, sans-serif; fill: var(--ink); }
    .title { font-size: 15px; font-weight: 600; }
    .faint { fill: var(--faint); }
    .small { font-size: 8px; text-anchor: middle; }
    .paper { fill: var(--paper); }
    .box { fill: var(--box); }
    .host { fill: var(--host); }
    .upper { fill: var(--host); }
    .cable { stroke-width: 0.6; }
  </style>
"""

Place = tuple[float, float]


def picture(plan: FabricPlan) -> str:
    """The plan as SVG; the same bytes for the same plan."""
    width, places = _places(plan)
    rows = _rows(plan)
    tall = max(y for _, y in places.values()) + LEAF + 40 + rows * ROW + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {tall:.0f}"'
        f' role="img" aria-label="{escape(_title(plan))}">\n'
    )
    body = "".join((*_lines(plan, places), *_units(plan, places), *_switches(plan, places)))
    paper = f'  <rect class="paper" width="{width:.0f}" height="{tall:.0f}"/>\n'
    return f"{head}{_STYLE}{paper}{_caption(plan)}{body}</svg>\n"


def _title(plan: FabricPlan) -> str:
    hosts = len({one.host for one in plan.adapters})
    return f"{plan.cluster}: {hosts} hosts, {plan.shape.rails} rails, {plan.link}"


def _caption(plan: FabricPlan) -> str:
    shape = plan.shape
    counts = [f"{shape.leaves} leaves"]
    counts += [f"{shape.all_spines} spines"] if shape.spines else []
    counts += [f"{shape.all_cores} cores"] if shape.cores else []
    many = f"{', '.join(counts)}; {len(plan.cables):,} cables"
    over = f"; oversubscribed {shape.oversubscription:g} to 1" if shape.oversubscription > 1 else ""
    return (
        f'  <text class="title" x="{MARGIN}" y="{MARGIN + 8}">{escape(_title(plan))}</text>\n'
        f'  <text class="faint" x="{MARGIN}" y="{MARGIN + 26}">{many}{over}</text>\n'
    )


def _places(plan: FabricPlan) -> tuple[float, Mapping[str, Place]]:
    """How wide the picture is, and the middle of each switch's upper edge."""
    by_role: dict[str, list[Switch]] = {"core": [], "spine": [], "leaf": []}
    for switch in plan.switches:
        by_role[switch.role].append(switch)
    step = LEAF + GAP
    unit_gap = 3 * GAP
    leaves = len(by_role["leaf"]) * step + plan.shape.units * unit_gap
    width = 2 * MARGIN + max(leaves, 420)
    level = max(LEVEL, width / STEEP)
    places: dict[str, Place] = {}
    y = MARGIN + 60.0
    for role in ("core", "spine"):
        row = by_role[role]
        for at, switch in enumerate(row):
            places[switch.name] = (MARGIN + (at + 0.5) * (width - 2 * MARGIN) / len(row), y)
        y += level if row else 0
    for at, leaf in enumerate(by_role["leaf"]):
        unit = at // plan.shape.rails
        places[leaf.name] = (MARGIN + at * step + unit * unit_gap + LEAF / 2, y)
    return width, places


def _rows(plan: FabricPlan) -> int:
    return max(-(-one.slot // _columns(plan)) for one in plan.adapters)


def _columns(plan: FabricPlan) -> int:
    """Hosts beside each other below a unit's leaves."""
    return max(1, (plan.shape.rails * (LEAF + GAP) - GAP) // ROW)


def _lines(plan: FabricPlan, places: Mapping[str, Place]) -> Iterator[str]:
    switches = {switch.name: switch for switch in plan.switches}
    pairs = Counter((low.node, high.node) for low, high in plan.cables if low.node in switches)
    faint = max(0.15, min(0.4, 0.4 * CROWD / max(len(pairs), 1)))
    for (low, high), cables in pairs.items():
        (x1, y1), (x2, y2) = places[low], places[high]
        colour = _colour(switches[low].rail)
        title = f"{low} to {high}: {cables} cable{'s' if cables > 1 else ''}"
        yield (
            f'  <line class="cable" stroke="{colour}" stroke-opacity="{faint:.2f}" x1="{x1:.1f}"'
            f' y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2 + LEAF / 2:.1f}">'
            f"<title>{escape(title)}</title></line>\n"
        )


def _colour(rail: int) -> str:
    return COLOURS[(rail - 1) % len(COLOURS)] if rail else "#8c8c8c"


def _switches(plan: FabricPlan, places: Mapping[str, Place]) -> Iterator[str]:
    crowd = {role: sum(s.role == role for s in plan.switches) for role in ("spine", "core")}
    room = max(x for x, _ in places.values())
    for switch in plan.switches:
        x, y = places[switch.name]
        wide = LEAF if switch.role == "leaf" else min(LEAF, 0.8 * room / crowd[switch.role])
        fill = f'fill="{_colour(switch.rail)}"' if switch.rail else 'class="upper"'
        yield (
            f"  <g><title>{escape(switch.name)} in rack {escape(switch.rack)}</title><rect {fill}"
            f' x="{x - wide / 2:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{LEAF / 2}" rx="2"/>'
        )
        if switch.role == "leaf":
            below = y + LEAF / 2 + 9
            yield f'<text class="small" x="{x:.1f}" y="{below:.1f}">r{switch.rail}</text>'
        yield "</g>\n"


def _units(plan: FabricPlan, places: Mapping[str, Place]) -> Iterator[str]:
    first: dict[str, Place] = {}
    for switch in plan.switches:
        if switch.role == "leaf":
            first.setdefault(switch.unit, places[switch.name])
    hosts: dict[str, list[Adapter]] = {}
    for one in plan.adapters:
        hosts.setdefault(one.host, []).append(one)
    wide = plan.shape.rails * (LEAF + GAP) - GAP
    tall = _rows(plan) * ROW + 28
    for unit, (x, y) in first.items():
        left, top = x - LEAF / 2, y + LEAF + 4
        yield f'  <rect class="box" x="{left}" y="{top}" width="{wide}" height="{tall}" rx="4"/>\n'
        yield f'  <text x="{left + 6}" y="{top + 16}">{escape(unit)}</text>\n'
    for host, adapters in hosts.items():
        yield _host(plan, host, adapters, first[adapters[0].unit])


def _host(plan: FabricPlan, host: str, adapters: list[Adapter], first: Place) -> str:
    row, column = divmod(adapters[0].slot - 1, _columns(plan))
    x = first[0] - LEAF / 2 + 2 + column * ROW
    y = first[1] + LEAF + 28 + row * ROW
    ports = ", ".join(f"{one.device} on rail {one.rail}" for one in adapters)
    title = f"{host} in rack {adapters[0].rack}, port {adapters[0].slot} of its leaves: {ports}"
    return (
        f'  <rect class="host" x="{x:.1f}" y="{y:.1f}" width="{HOST}" height="{HOST}" rx="2">'
        f"<title>{escape(title)}</title></rect>\n"
    )
