"""A plan as plain data for `-o json`: stable keys, every figure beside its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmops.planning.model import Plan
from llmops.planning.upkeep import Upkeep


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan; a figure is `{"value": …, "reason": …}`. Sizes in bytes, times in seconds.

    `target`, `image`, `pod` and `apart` are there only where a target runs pods and sets them, and
    `machines` where it makes some; `scaling` only where the number of replicas is not fixed;
    `upkeep`, `affinity` and `shadow` only where they are not what they are by default; of the
    limits only those that there are; of the adapters `model.adapter`, `model.adapters`,
    `engine.adapter_rank` and `engine.adapter_count` only where there is something of them to tell.
    """
    document = asdict(plan)
    for key in ("target", "image", "pod", "tls", "scaling", "apart", "machines"):
        if not document[key]:
            del document[key]
    del document["asked"]  # the file says it better
    del document["engine_identity"]
    if plan.model.adapter is None:
        del document["model"]["adapter"]
    if not plan.model.adapters:
        del document["model"]["adapters"]
    if not plan.engine.adapter_rank:
        del document["engine"]["adapter_rank"]
    if plan.engine.adapter_count == 1:
        del document["engine"]["adapter_count"]
    if plan.upkeep == Upkeep():
        del document["upkeep"]
    if plan.affinity == "request":
        del document["affinity"]
    if not plan.shadow:
        del document["shadow"]
    limits = document["limits"].items()
    document["limits"] = {name: value for name, value in limits if value not in (None, {})}
    document["options"] = [asdict(option) for option in plan.options]
    document["keys"] = list(plan.keys)
    document["notes"] = list(plan.notes)
    return document
