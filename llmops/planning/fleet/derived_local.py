"""The figures of a plan for this machine derived. Pure.

What the plan has a reason for is told with it; weights and parameters are taken apart as in a plan
beyond this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops.planning.fleet import derived_weights
from llmops.planning.fleet.derivation import Derivation, brief, chosen, made_up
from llmops.planning.fleet.derived import token_bytes
from llmops.planning.model import Figure, Plan
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject

BYTES = frozenset({"weight_bytes", "kv_bytes_per_token", "per_device_bytes", "weights", "kv_cache",
                   "overhead", "total"})  # fmt: skip


def explain_local(plan: Plan, subject: Subject, config: Mapping[str, Any], name: str) -> Derivation:
    """Derive a figure of a plan for this machine.

    Args:
        plan: The plan.
        subject: Its model.
        config: The model's `config.json`.
        name: A figure of the plan.

    Raises:
        InputError: When there is no such figure.
    """
    figures = _figures(plan)
    chosen(name, figures)
    tensor = Parallel(plan.layout.tensor, plan.layout.pipeline)
    if name == "weights":
        found = derived_weights.on_device(subject, tensor, config)
    elif name == "parameters":
        found = derived_weights.parameters(subject, config)
    elif name == "weight_bytes":
        found = derived_weights.weight_bytes(subject, config)
    elif name == "kv_bytes_per_token":
        found = token_bytes(subject, config)
    elif name == "per_device_bytes":
        found = _per_device(plan, subject, config, tensor)
    else:
        return _leaf(name, figures[name])
    figure = figures[name]
    if found.value == figure.value:
        return found
    return made_up(name, int(figure.value), (found,), figure.reason, found.unit, "rest")


def _per_device(
    plan: Plan, subject: Subject, config: Mapping[str, Any], parallel: Parallel
) -> Derivation:
    memory = plan.memory
    cache = int(memory.kv_cache.value) // parallel.devices
    parts = (
        brief(derived_weights.on_device(subject, parallel, config)),
        Derivation("kv_cache of a shard", cache, "B", memory.kv_cache.reason),
        _leaf("overhead", memory.overhead),
    )
    figure = memory.per_device_bytes
    return made_up("per_device_bytes", int(figure.value), parts, figure.reason, "B", "rest")


def _leaf(name: str, figure: Figure) -> Derivation:
    unit = "B" if name in BYTES else "token" if name in ("context", "kv_tokens") else ""
    return Derivation(name, figure.value, unit, figure.reason)


def _figures(plan: Plan) -> dict[str, Figure]:
    """Every figure of the plan, by its name."""
    found = {}
    for section in (plan.model, plan.memory, plan.layout):
        for name in section.__dataclass_fields__:
            value = getattr(section, name)
            if isinstance(value, Figure):
                found[name] = value
    return found
