"""Plots as SVG that stands inside of a page: text is text, and colours are the page's own.

Matplotlib draws with stand-in colours, which then become the page's variables, so one drawing is
right in light and in dark. Nothing in it tells when or where it was drawn.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from serving.finetune.data.ledger import Step

INK, SOFT, ONE, TWO = "#010203", "#040506", "#070809", "#0a0b0c"
VARIABLES = {INK: "var(--ink)", SOFT: "var(--line)", ONE: "var(--one)", TWO: "var(--two)"}
"""Stand-ins, and what they become."""

BINS = 40

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "llmops",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": SOFT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def lengths(train: Counter[int], held: Counter[int]) -> str:
    """How long rows are: the share of rows in each range of tokens, of both sides."""
    longest = max([*train, *held, 1])
    width = max(1, -(-longest // BINS))
    edges = list(range(0, longest + width + 1, width))
    with _figure(7.2, 2.9) as (figure, axes):
        shares = _shares(train, edges, width)
        axes.bar(
            edges[:-1], shares, width=width * 0.94, align="edge", color=ONE, label="learnt from"
        )
        if held:
            middles = [edge + width / 2 for edge in edges[:-1]]
            axes.plot(
                middles, _shares(held, edges, width), color=TWO, linewidth=1.8, marker="o",
                markersize=3, label="held out",
            )  # fmt: skip
            axes.legend(loc="upper right")
        axes.set_xlabel("tokens of a row")
        axes.set_ylabel("share of rows, %")
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        return _svg(figure, "How long rows are, in tokens")


def funnel(steps: Sequence[Step]) -> str:
    """How many rows each step left, and how many it took."""
    with _figure(7.2, 0.36 * len(steps) + 0.6) as (figure, axes):
        places = list(range(len(steps)))
        most = max([1, *(step.before for step in steps)])
        axes.barh(places, [step.after for step in steps], color=ONE, height=0.62, label="left")
        axes.barh(
            places, [step.removed for step in steps], left=[step.after for step in steps],
            color=TWO, height=0.62, label="removed",
        )  # fmt: skip
        for at, step in enumerate(steps):
            text = f"{step.after:,}" + (f"  (-{step.removed:,})" if step.removed else "")
            axes.text(step.before + most * 0.012, at, text, va="center")
        axes.set_yticks(places, [step.name for step in steps])
        axes.invert_yaxis()
        axes.set_xlim(0, most * 1.22)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _svg(figure, "Rows after each step")


class _figure:  # noqa: N801 - reads as the function that it stands for
    """A figure with one pair of axes, under this module's settings."""

    def __init__(self, width: float, height: float) -> None:
        self._size = (width, height)

    def __enter__(self) -> tuple[Any, Any]:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        self._context = mpl.rc_context(SETTINGS)
        self._context.__enter__()
        figure = Figure(figsize=self._size, layout="constrained")
        return figure, figure.add_subplot()

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)


def _shares(rows: Counter[int], edges: Sequence[int], width: int) -> list[float]:
    counted = [0] * (len(edges) - 1)
    for length, count in rows.items():
        counted[length // width] += count
    return [100 * count / max(1, rows.total()) for count in counted]


def _svg(figure: Any, title: str) -> str:
    """The drawing alone, without what belongs to a file of its own."""
    held = io.StringIO()
    figure.savefig(held, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = held.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, variable)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", text)


def summary(rows: Counter[int]) -> Mapping[str, int]:
    """Tokens of the row in the middle, of that which nine of ten and 99 of 100 do not exceed, and
    of the longest; empty without rows."""
    total = rows.total()
    if not total:
        return {}
    wanted = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "longest": 1.0}
    found: dict[str, int] = {}
    seen = 0
    for length in sorted(rows):
        seen += rows[length]
        for name, share in wanted.items():
            if name not in found and seen >= share * total:
                found[name] = length
    return found
