"""Policies as the simulator asks them: the decision that runs live, a fixed number, and a plan."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from llmops.policies.scaling import Memory, Observation, ScalingSettings, decide
from llmops.policies.simulation.simulator import Scaler


def ours(settings: ScalingSettings, begins: float = 0.0) -> Scaler:
    """The decision that the live runtime asks, with its memory.

    Args:
        settings: What holds for the service.
        begins: Unix time at which the trace begins, for schedules.
    """
    memory = Memory()

    def scale(seen: Observation) -> tuple[int, str]:
        nonlocal memory
        decision = decide(settings, replace(seen, now=begins + seen.now), memory)
        memory = decision.memory
        return decision.replicas, decision.reason

    return scale


def fixed(replicas: int) -> Scaler:
    """Always as many."""
    return lambda _seen: (replicas, "fixed")


def planned(steps: Sequence[tuple[float, int]]) -> Scaler:
    """What was decided beforehand: from each time on, so many replicas."""
    times = [at for at, _ in steps]

    def scale(seen: Observation) -> tuple[int, str]:
        place = bisect_right(times, seen.now + 1e-9) - 1
        return steps[max(0, place)][1], "planned"

    return scale
