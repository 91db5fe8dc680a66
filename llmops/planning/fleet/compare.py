"""Two plans side by side: what differs, figure by figure, and what that costs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmops.planning.figures import kv_per_token
from llmops.planning.fleet.lines import kv_tokens, memory_lines
from llmops.planning.fleet.model import FleetPlan
from llmops.planning.model import Plan
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject

MONTH = 730
"""Hours in a month, as clouds reckon (8,760 hours a year / 12)."""

Value = int | float | str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a plan."""

    value: Value
    unit: str = ""
    """`B`, `token`, `USD/h`; empty for a count or a word."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both plans; None where a plan does not have it."""

    name: str
    ours: Value
    theirs: Value
    unit: str
    change: str
    """What it means to have ours instead of theirs; empty when they are the same."""


def of_fleet(plan: FleetPlan, subject: Subject, source: str) -> dict[str, Cell]:
    """The figures of a plan's first option; those of the model alone when there is none."""
    figures = {
        "model": Cell(source),
        "parameters": Cell(subject.profile.parameters),
        "weight_bytes": Cell(subject.weight_bytes, "B"),
        "kv_bytes_per_token": Cell(kv_per_token(subject, plan.needs.kv_dtype).value, "B"),
        "replicas": Cell(plan.needs.replicas),
    }
    if not plan.options:
        return figures
    first = plan.options[0]
    made = first.budget
    lines = {
        line.name: Cell(line.bytes, "B")
        for line in memory_lines(subject, first, plan.needs)
        if line.name != "reserve"
    }
    return figures | {
        "machine": Cell(first.offer.name),
        "machines": Cell(first.machines),
        "accelerator": Cell(first.accelerator.name),
        "layout": Cell(str(first.parallel)),
        "dtype": Cell(first.dtype),
        "context": Cell(made.context, "token"),
        **lines,
        "per_device_bytes": Cell(made.memory - made.reserve, "B"),
        "kv_tokens": Cell(kv_tokens(first), "token"),
        "requests": Cell(first.requests),
        "region": Cell(first.region or None),
        "price": Cell(first.price, "USD/h"),
    }


def of_local(plan: Plan) -> dict[str, Cell]:
    """The figures of a plan for this machine, or of what is live on it."""
    model, memory, layout = plan.model, plan.memory, plan.layout
    return {
        "model": Cell(model.source),
        "parameters": Cell(model.parameters.value),
        "weight_bytes": Cell(model.weight_bytes.value, "B"),
        "kv_bytes_per_token": Cell(model.kv_bytes_per_token.value, "B"),
        "replicas": Cell(layout.replicas_high),
        "machine": Cell("this machine"),
        "accelerator": Cell(layout.device),
        "layout": Cell(str(Parallel(layout.tensor, layout.pipeline))),
        "dtype": Cell(plan.engine.dtype),
        "context": Cell(model.context.value, "token"),
        "weights": Cell(memory.weights.value, "B"),
        "kv_cache": Cell(memory.kv_cache.value, "B"),
        "per_device_bytes": Cell(memory.per_device_bytes.value, "B"),
        "kv_tokens": Cell(memory.kv_tokens.value, "token"),
    }


def compare(ours: Mapping[str, Cell], theirs: Mapping[str, Cell]) -> tuple[Row, ...]:
    """Every figure that either plan has, in the order of ours."""
    names = [*ours, *(name for name in theirs if name not in ours)]
    return tuple(_row(name, ours.get(name), theirs.get(name)) for name in names)


def _row(name: str, ours: Cell | None, theirs: Cell | None) -> Row:
    one, other = ours.value if ours else None, theirs.value if theirs else None
    unit = ours.unit if ours is not None else theirs.unit if theirs is not None else ""
    return Row(name, one, other, unit, _change(one, other, unit))


def _change(ours: Value, theirs: Value, unit: str) -> str:
    if ours == theirs:
        return ""
    if not isinstance(ours, (int, float)) or not isinstance(theirs, (int, float)):
        return "differs"
    times = f"{ours / theirs:.3g} times as much" if theirs else "more than none"
    if unit != "USD/h":
        return times
    apart = ours - theirs
    word = "more" if apart > 0 else "less"
    each = f"{abs(apart):,.2f} USD/h {word}, {abs(apart) * MONTH:,.0f} USD in a month"
    return f"{times}: {each}" if theirs and ours else each
