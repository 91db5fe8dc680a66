"""What a plan tells of a replica, before anything of it is measured. Pure."""

from __future__ import annotations

from llmops.planning import Plan, planned_batch
from llmops.policies.simulation.profile import Profile


def planned_replica(plan: Plan) -> Profile:
    """A replica of a plan: its batch, cache and GPUs; its rates and its start are the usual ones,
    which were measured nowhere."""
    batch, layout = planned_batch(plan), plan.layout
    return Profile(
        slots=batch.sequences,
        chunk=batch.tokens,
        devices=layout.tensor * layout.pipeline if layout.device == "gpu" else 1,
        takes=plan.limits.in_flight,
        kv_tokens=int(plan.memory.kv_tokens.value),
    )
