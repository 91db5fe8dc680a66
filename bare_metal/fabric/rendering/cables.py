"""The cable plan for those who pull cables: a table of all of them, and a label for each end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bare_metal.fabric.model import FabricPlan

COLUMNS = (
    "cable", "link", "from_rack", "from", "from_port", "to_rack", "to", "to_port",
)  # fmt: skip


def table(plan: FabricPlan) -> str:
    """All cables as CSV, numbered in the order of the plan."""
    rows = (
        (
            f"c{number:05}", plan.link, plan.racks[low.node], low.node, str(low.port),
            plan.racks[high.node], high.node, str(high.port),
        )
        for number, (low, high) in enumerate(plan.cables, 1)
    )  # fmt: skip
    return _csv(COLUMNS, rows)


def labels(plan: FabricPlan) -> str:
    """Two labels for each cable as CSV: what it is plugged into here, and where it goes."""
    rows = (
        (f"c{number:05}", f"{plan.racks[here.node]} {here}", f"to {plan.racks[there.node]} {there}")
        for number, cable in enumerate(plan.cables, 1)
        for here, there in (cable, reversed(cable))
    )
    return _csv(("cable", "here", "there"), rows)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
