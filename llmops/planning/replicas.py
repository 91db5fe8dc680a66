"""From what the spec says of scaling to what the plan says of it. Pure.

How many replicas there are at a moment is decided later, by `llmops.policies.scaling`; memory is
planned for the highest number, so that no decision runs out of it.
"""

from __future__ import annotations

from llmops.planning.model import PlannedScaling, PlannedWindow
from llmops.spec import Deployment


def planned_scaling(deployment: Deployment) -> PlannedScaling | None:
    """How the number of replicas follows the load; None where it is fixed."""
    scaling = deployment.scaling
    if scaling.replicas.low == scaling.replicas.high:
        return None
    objective = scaling.objective
    return PlannedScaling(
        target_tokens_per_second=scaling.target_tokens_per_second,
        queue=objective.queue,
        ttft=objective.ttft.seconds if objective.ttft is not None else None,
        tpot=objective.tpot.seconds if objective.tpot is not None else None,
        percent=objective.percent,
        warm=scaling.warm,
        schedule=tuple(
            PlannedWindow(str(entry.window), entry.replicas.low, entry.replicas.high)
            for entry in scaling.schedule
        ),
        idle_seconds=scaling.idle.seconds,
        settle_seconds=scaling.settle.seconds,
        hold_requests=scaling.hold.requests,
        hold_seconds=scaling.hold.wait.seconds,
    )


def scaling_notes(deployment: Deployment) -> list[str]:
    """What a user should know of it."""
    scaling = deployment.scaling
    lows = [scaling.replicas.low, *(entry.replicas.low for entry in scaling.schedule)]
    if min(lows):
        return []
    text = (
        f"after {scaling.idle} without a request no replica is left: the next request waits until"
        f" one has started, at most {scaling.hold.wait}; memory is planned for"
        f" {scaling.replicas.high}"
    )
    return [text]
