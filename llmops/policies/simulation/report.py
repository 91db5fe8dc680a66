"""A study as plain data, with stable keys; and what stands in the way of the optimum."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.simulator import Rules
from llmops.policies.simulation.study import Study
from llmops.policies.simulation.trace import Trace


def document(
    study: Study, trace: Trace, settings: ScalingSettings, profile: Profile, rules: Rules
) -> dict[str, Any]:
    """A study as JSON's own values."""
    return {
        "trace": {
            "name": trace.name,
            "requests": len(trace.requests),
            "seconds": trace.seconds,
            "input_tokens": sum(one.input_tokens for one in trace.requests),
            "output_tokens": sum(one.output_tokens for one in trace.requests),
        },
        "settings": settings.document(),
        "replica": asdict(profile) | {"takes": profile.most},
        "rules": asdict(rules),
        "bound_gpu_hours": study.bound,
        "policies": [
            {"name": row.name, "ratio_to_optimum": row.ratio} | asdict(row.figures)
            for row in study.rows
        ],
    }
