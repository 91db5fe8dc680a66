"""How a plan is shown: what would change, and every figure with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.output import print_table, tell
from llmops.units import Bytes

if TYPE_CHECKING:
    from llmops.events import Planned
    from llmops.planning import Figure, Plan

SIZES = frozenset({"weight_bytes", "kv_bytes_per_token", "per_device_bytes", "weights", "kv_cache",
                   "overhead", "total"})  # fmt: skip
"""Figures in bytes."""

IGNORED = frozenset({"identity", "facts_digest", "options", "notes", "reason"})
"""What two plans may differ in without a difference for what runs."""


def print_change(planned: Planned) -> None:
    """In a few lines, what applying the plan would do to what is live."""
    plan, live = planned.plan, planned.live
    if not planned.changed and live is not None:
        tell(f"{plan.service}: nothing changed since release {live.number}")
        return
    if live is None:
        tell(f"{plan.service}: a first release, of {plan.model.source}")
    else:
        tell(f"{plan.service}: a new release in place of release {live.number}")
        for name, before, after in differences(live.plan, plan):
            tell(f"  {name}: {before} -> {after}")
    replicas = f"{plan.layout.replicas_high} replica(s) x {plan.layout.tensor} shard(s)"
    tell(
        f"  {replicas} on {plan.layout.device}, {human(plan.memory.total, size=True)} of memory,"
        f" context {plan.model.context.value} tokens, KV cache"
        f" {plan.memory.kv_tokens.value} tokens, endpoint {plan.host}:{plan.port}"
    )
    for note in plan.notes:
        tell(f"  note: {note}")


def human(figure: Figure, *, size: bool) -> str:
    """A figure's value for people."""
    if size and isinstance(figure.value, int):
        return Bytes(figure.value).human()
    return f"{figure.value:,}" if isinstance(figure.value, int) else str(figure.value)


def print_plan(plan: Plan) -> None:
    """Every figure with its reason."""
    figures = [
        ("parameters", plan.model.parameters),
        ("weight_bytes", plan.model.weight_bytes),
        ("kv_bytes_per_token", plan.model.kv_bytes_per_token),
        ("context", plan.model.context),
        ("weights", plan.memory.weights),
        ("kv_cache", plan.memory.kv_cache),
        ("kv_tokens", plan.memory.kv_tokens),
        ("overhead", plan.memory.overhead),
        ("per_device_bytes", plan.memory.per_device_bytes),
        ("total", plan.memory.total),
        ("threads", plan.layout.threads),
    ]
    rows = [(name, human(figure, size=name in SIZES), figure.reason) for name, figure in figures]
    layout = f"tensor {plan.layout.tensor}, {plan.layout.device}"
    rows.append(("layout", layout, plan.layout.reason))
    print_table(("FIGURE", "VALUE", "REASON"), rows)


def differences(before: Plan, after: Plan) -> list[tuple[str, str, str]]:
    """What differs between two plans: a dotted name, the old and the new value."""
    from llmops.planning import plan_document

    old, new = _flat(plan_document(before)), _flat(plan_document(after))
    names = [*old, *(name for name in new if name not in old)]
    return [
        (name, _text(old.get(name)), _text(new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if key in IGNORED:
            continue
        name = prefix if key == "value" else f"{prefix}.{key}".strip(".")
        if isinstance(value, dict):
            flat |= _flat(value, name)
        else:
            flat[name] = value
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return (
        ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)
    )
