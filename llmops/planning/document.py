"""A plan as plain data for `-o json`: stable keys, every figure beside its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmops.planning.model import Plan


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan; a figure is `{"value": …, "reason": …}`. Sizes in bytes, times in seconds.

    `target`, `image`, `pod` and `apart` are there only where a target runs pods and sets them.
    """
    document = asdict(plan)
    for key in ("target", "image", "pod", "apart"):
        if not document[key]:
            del document[key]
    document["options"] = [asdict(option) for option in plan.options]
    document["keys"] = list(plan.keys)
    document["notes"] = list(plan.notes)
    return document
