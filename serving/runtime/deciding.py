"""How many replicas, by the load, by a budget, and by what is to be taken over. Pure.

`llmops.policies.scaling` knows the load and the bounds. What only a runtime that runs has is added
here: a budget that may change meanwhile, and another release whose traffic is on its way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmops.policies.scaling import Decision, Memory, Observation, ScalingSettings, decide
from serving.runtime.handover import Handover


def decided(
    settings: ScalingSettings,
    seen: Observation,
    before: Memory,
    handover: Handover,
    ceiling: dict[str, Any] | None,
) -> Decision:
    """What the load asks for, within what a budget pays; and at least what is to be taken over."""
    bound = settings if ceiling is None else replace(settings, ceiling=ceiling["replicas"])
    decision = decide(bound, seen, before)
    lead = before.startup or settings.startup_seconds
    most = bound.bounds(seen.now, lead)[1]
    # Replicas that drain still hold their memory.
    room = min(most, max(seen.provisioned, most - seen.draining))
    least = min(handover.least(seen.running, seen.now, settings.settle_seconds), room)
    if least and least >= decision.replicas:
        return replace(decision, replicas=least, reason=handover.reason)
    if ceiling is None or decision.replicas < ceiling["replicas"]:
        return decision
    freely = decide(settings, seen, before)
    if freely.replicas <= decision.replicas:
        return decision
    held = f"held at {decision.replicas} by the budget of {ceiling['by']}: {freely.reason}"
    return replace(decision, reason=held)
