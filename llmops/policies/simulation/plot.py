"""A simulation as a picture: the load, and under it the replicas of each policy, over time.

Pure, and the same bytes for the same study; light and dark pages can show it. Colours are Okabe and
Ito's palette ("Color Universal Design", 2008), told apart by the colour-blind. Each policy has a
panel of its own: its replicas as an area, those that start as a lighter one on top of it, and the
optimum's as a line, so that an area above the line is what it costs not to know what comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmops.policies.simulation.study import OPTIMUM, Row, Study
from llmops.policies.simulation.timeline import Timeline

WIDTH, LEFT, RIGHT, TOP = 960, 64, 24, 96
"""Sizes in pixels: of the picture, of the margins beside a panel, and above the first."""

PANEL, STEP = 84, 132
"""Height of a panel, and from one to the next."""

POINTS = 400
"""Columns of a panel: the highest value of each stretch of time is drawn."""

LOAD, RUNNING, STARTING = "#56b4e9", "#0072b2", "#e69f00"

_STYLE = """\
  <style>
    svg { --ink: #1f2328; --faint: #59636e; --paper: #ffffff; --track: #d9dde2; --best: #b34700; }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #f0f3f6; --faint: #a9b1ba; --paper: #0d1117; --track: #30363d; --best: #ff9a4d; }
    }
    text { font: 11px system-ui, sans-serif; fill: var(--ink); }
    .title { font-size: 15px; font-weight: 600; }
    .name { font-size: 12px; font-weight: 600; }
    .faint { fill: var(--faint); }
    .paper { fill: var(--paper); }
    .grid { stroke: var(--track); stroke-width: 1; }
    .halo { fill: none; stroke: var(--paper); stroke-width: 4; stroke-linejoin: round; }
    .best { fill: none; stroke: var(--best); stroke-width: 2; stroke-linejoin: round; }
  </style>
"""


def svg(study: Study, title: str) -> str:
    """The picture."""
    panels = [row for row in study.rows if row.name != OPTIMUM]
    best = study.row(OPTIMUM)
    height = TOP + STEP * (len(panels) + 1) - (STEP - PANEL) + 40
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    name = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {name}>\n',
        _STYLE,
        f'  <rect class="paper" width="{WIDTH}" height="{height}"/>\n',
        _text(LEFT, 32, title, "title"),
        _legend(best is not None),
        _load(study.rows[0].timeline, TOP),
    ]
    most = max(row.figures.peak for row in study.rows)
    line = _counts(best.timeline, starting=True) if best else []
    for number, row in enumerate(panels, 1):
        parts.append(_policy(row, line, most, TOP + STEP * number))
    parts.append(_times(study.rows[0].timeline.seconds, TOP + STEP * len(panels) + PANEL + 16))
    return "".join([*parts, "</svg>\n"])


def _legend(best: bool) -> str:
    made, left = "", LEFT
    for label, colour in (
        ("requests a second", LOAD), ("replicas that answer", RUNNING), ("starting", STARTING),
    ):  # fmt: skip
        made += f'  <rect x="{left}" y="48" width="12" height="12" fill="{colour}"/>\n'
        made += _text(left + 17, 58, label)
        left += 46 + round(6.2 * len(label))
    if best:
        made += f'  <path class="best" d="M{left} 54h16"/>\n'
        made += _text(left + 22, 58, "replicas of the optimum, those that start included")
    return made


def _load(timeline: Timeline, top: int) -> str:
    width = timeline.seconds / POINTS
    counts = [0.0] * POINTS
    for request in timeline.trace.requests:
        counts[min(POINTS - 1, int(request.arrival / width))] += 1 / width
    name = _text(LEFT, top - 8, "Load", "name")
    return name + _scale(top, max(counts)) + _area(counts, max(counts), top, LOAD)


def _policy(row: Row, best: Sequence[float], most: int, top: int) -> str:
    made = row.figures
    about = f"{made.gpu_hours:,.2f} GPU hours, {made.attained:.2%} within the objective"
    about += f", {row.ratio:.2f} times the optimum" if row.ratio is not None else ""
    head = (
        f'  <text x="{LEFT}" y="{top - 8}"><tspan class="name">{escape(row.name)}</tspan>'
        f'<tspan class="faint" dx="10">{escape(about)}</tspan></text>\n'
    )
    all_of = _counts(row.timeline, starting=True)
    running = _counts(row.timeline, starting=False)
    drawn = _scale(top, most) + _area(all_of, most, top, STARTING)
    drawn += _area(running, most, top, RUNNING)
    if best:
        path = _line(best, most, top)
        drawn += f'  <path class="halo" d="{path}"/>\n  <path class="best" d="{path}"/>\n'
    return head + drawn


def _counts(timeline: Timeline, *, starting: bool) -> list[float]:
    """The highest number of replicas in each column; what drains counts."""
    counts = [0.0] * POINTS
    for moment in timeline.moments:
        at = min(POINTS - 1, int(moment.at / timeline.seconds * POINTS))
        count = moment.running + moment.draining + (moment.starting if starting else 0)
        counts[at] = max(counts[at], count)
    for at in range(1, POINTS):
        # A column without a decision in it is as the one before.
        counts[at] = counts[at] or (counts[at - 1] if len(timeline.moments) < POINTS else 0.0)
    return counts


def _scale(top: int, most: float) -> str:
    made = ""
    for share in (0.0, 0.5, 1.0):
        y = top + PANEL * (1 - share)
        value = most * share
        label = f"{value:.0f}" if most >= 10 or value == int(value) else f"{value:.1f}"
        made += f'  <path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>\n'
        made += (
            f'  <text class="faint" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}'
            "</text>\n"
        )
    return made


def _line(counts: Sequence[float], most: float, top: int) -> str:
    """Steps from column to column; only where the value changes."""
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    path, last = "", None
    for at, count in enumerate(counts):
        if count != last:
            y = top + PANEL * (1 - count / (most or 1))
            path += f"H{LEFT + at * width:.1f}V{y:.1f}" if path else f"M{LEFT} {y:.1f}"
            last = count
    return f"{path}H{WIDTH - RIGHT}"


def _area(counts: Sequence[float], most: float, top: int, colour: str) -> str:
    path = f"{_line(counts, most, top)}V{top + PANEL}H{LEFT}Z"
    return f'  <path fill="{colour}" d="{path}"/>\n'


def _times(seconds: float, top: int) -> str:
    unit, name = (3600, "h") if seconds > 7200 else (60, "min") if seconds > 120 else (1, "s")
    span = seconds / unit
    step = next(one for one in (1, 2, 5, 10, 15, 20, 30, 60, 120, 240, 1000) if span / one <= 12)
    made = ""
    for value in range(0, int(span) + 1, step):
        x = LEFT + value / span * (WIDTH - LEFT - RIGHT)
        made += f'  <text class="faint" x="{x:.1f}" y="{top}" text-anchor="middle">{value}</text>\n'
    return made + _text(LEFT, top + 16, f"time in {name}", "faint")


def _text(left: int, top: int, text: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'  <text x="{left}" y="{top}"{named}>{escape(text)}</text>\n'
