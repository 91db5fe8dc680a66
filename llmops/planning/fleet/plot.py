"""The memory of devices as a picture: stacked bars in an SVG that light and dark pages can show.

Pure, and the same bytes for the same plan. Text stays text; colours are Okabe and Ito's palette
("Color Universal Design", 2008), told apart by the colour-blind, with a gap between neighbours, and
each part is named in the legend in the order of the bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from llmops.planning.fleet.lines import Line, memory_lines
from llmops.planning.fleet.model import FleetOption, FleetPlan
from llmops.planning.model import Plan
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject
from llmops.units import Bytes

WIDTH, MARGIN, HEIGHT, STEP = 960, 24, 26, 82
"""Sizes in pixels: of the picture, its margin, a bar, and from one bar to the next."""

LETTER = 6.6
"""Width in pixels of a letter of 11 pixels, on the average and rounded up."""

MOST = 8
"""Options that are drawn."""

PARTS = {
    "weights": ("weights", "#0072b2", "#ffffff"),
    "activations": ("activations", "#e69f00", "#000000"),
    "graphs": ("CUDA graphs", "#56b4e9", "#000000"),
    "other": ("other", "#cc79a7", "#000000"),
    "kv_cache": ("KV cache", "#009e73", "#000000"),
    "reserve": ("left alone", "#8c8c8c", "#000000"),
}
"""What is drawn: its name, its colour, and that of a text on it."""

_OTHERS = {"loading": "other", "vision": "activations", "outside": "other", "overhead": "other"}

_STYLE = """\
  <style>
    svg { --ink: #1f2328; --faint: #59636e; --paper: #ffffff; --track: #e6e8eb; }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #f0f3f6; --faint: #a9b1ba; --paper: #0d1117; --track: #30363d; }
    }
    text { font: 11px system-ui, sans-serif; fill: var(--ink); }
    .title { font-size: 15px; font-weight: 600; }
    .name { font-size: 12px; font-weight: 600; }
    .faint { fill: var(--faint); }
    .paper { fill: var(--paper); }
    .track { fill: var(--track); }
  </style>
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One device's memory."""

    name: str
    about: str
    sizes: tuple[tuple[str, int], ...]
    """Bytes by the names of `PARTS`, in that order."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(size for _, size in self.sizes)


def fleet_bars(plan: FleetPlan, subject: Subject) -> tuple[Bar, ...]:
    """A bar for a device of each of the best options."""
    return tuple(
        Bar(option.offer.name, _about(option), _sizes(memory_lines(subject, option, plan.needs)))
        for option in plan.options[:MOST]
    )


def local_bars(plan: Plan) -> tuple[Bar, ...]:
    """One bar: a shard of the plan for this machine."""
    memory, parallel = plan.memory, Parallel(plan.layout.tensor, plan.layout.pipeline)
    lines = (
        Line("weights", "", int(memory.weights.value), ""),
        Line("overhead", "", int(memory.overhead.value), ""),
        Line("kv_cache", "", int(memory.kv_cache.value) // parallel.devices, ""),
    )
    about = f"{plan.layout.device}, {parallel}; context {plan.model.context.value:,}"
    return (Bar(plan.service, about, _sizes(lines)),)


def _about(option: FleetOption) -> str:
    count = f"{option.offer.count} x {option.accelerator.name}"
    machines = f"{option.machines} x {count}" if option.machines > 1 else count
    price = "" if option.price is None else f", {option.price:,.2f} USD/h"
    price = ", own" if option.free else price
    return f"{machines}, {option.parallel}; context {option.budget.context:,}{price}"


def _sizes(lines: Sequence[Line]) -> tuple[tuple[str, int], ...]:
    sums = dict.fromkeys(PARTS, 0)
    for line in lines:
        sums[_OTHERS.get(line.name, line.name)] += max(0, line.bytes)
    return tuple((name, size) for name, size in sums.items() if size)


def svg(bars: Sequence[Bar], title: str) -> str:
    """The picture."""
    height = 92 + STEP * len(bars) + 8
    most = max((bar.total for bar in bars), default=1) or 1
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    name = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {name}>\n',
        _STYLE,
        f'  <rect class="paper" width="{WIDTH}" height="{height}"/>\n',
        _text(MARGIN, 32, title, "title"),
        _legend(bars),
    ]
    parts += [_bar(bar, 92 + STEP * number, most) for number, bar in enumerate(bars)]
    return "".join([*parts, "</svg>\n"])


def _legend(bars: Sequence[Bar]) -> str:
    drawn = {name for bar in bars for name, _ in bar.sizes}
    made, left = "", float(MARGIN)
    for name, (label, colour, _) in PARTS.items():
        if name in drawn:
            made += f'  <rect x="{left:.0f}" y="50" width="12" height="12" fill="{colour}"/>\n'
            made += _text(left + 17, 60, label)
            left += 17 + len(label) * LETTER + 22
    return made


def _bar(bar: Bar, top: int, most: int) -> str:
    room = WIDTH - 2 * MARGIN
    size = f"{Bytes(bar.total).human()} a device"
    made = (
        f'  <text x="{MARGIN}" y="{top}"><tspan class="name">{escape(bar.name)}</tspan>'
        f'<tspan class="faint" dx="10">{escape(bar.about)}</tspan></text>\n'
    )
    sizes = ", ".join(f"{PARTS[name][0]} {Bytes(size).human()}" for name, size in bar.sizes)
    made += _text(MARGIN, top + HEIGHT + 24, sizes, "faint")
    made += _text(WIDTH - MARGIN, top, size, "faint", end=True)
    made += f'  <rect class="track" x="{MARGIN}" y="{top + 8}" width="{room}" height="{HEIGHT}"/>\n'
    left = float(MARGIN)
    for name, bytes_ in bar.sizes:
        width = room * bytes_ / most
        made += _segment(name, bytes_, left, top + 8, width)
        left += width
    return made


def _segment(name: str, size: int, left: float, top: int, width: float) -> str:
    label, colour, ink = PARTS[name]
    human = Bytes(size).human()
    made = (
        f'  <rect x="{left:.2f}" y="{top}" width="{max(0.5, width - 1):.2f}" height="{HEIGHT}"'
        f' fill="{colour}"><title>{label} {human}</title></rect>\n'
    )
    if width >= len(human) * LETTER + 8:
        at = left + width / 2
        made += (
            f'  <text x="{at:.2f}" y="{top + 17}" text-anchor="middle" style="fill: {ink}">'
            f"{human}</text>\n"
        )
    return made


def _text(left: float, top: int, text: str, style: str = "", *, end: bool = False) -> str:
    named = f' class="{style}"' if style else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'  <text x="{left:.0f}" y="{top}"{named}{anchor}>{escape(text)}</text>\n'
