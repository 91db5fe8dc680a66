"""A plan as plain data for `-o json`: stable keys, every figure beside its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmops.planning.model import Plan


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan; a figure is `{"value": …, "reason": …}`. Sizes in bytes, times in seconds."""
    document = asdict(plan)
    document["options"] = [asdict(option) for option in plan.options]
    document["keys"] = list(plan.keys)
    document["notes"] = list(plan.notes)
    return document
