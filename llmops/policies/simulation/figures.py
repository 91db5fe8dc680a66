"""What a timeline comes to: time of GPUs, objectives met, waits, money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmops.policies.simulation.simulator import Rules, meets
from llmops.policies.simulation.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Figures:
    """A policy on a trace; times in seconds."""

    gpu_hours: float
    """Time of replicas, start-up and drain included, times the GPUs of each."""
    attained: float
    """Share of all requests that were answered within the objectives, 0 to 1."""
    ttft_p50: float
    ttft_p99: float
    """Of the requests that were answered, those that were held included."""
    usd: float | None
    """By the price of a replica; None where none is known."""
    requests: int
    answered: int
    held: int
    """Requests that waited for a replica."""
    rejected: int
    started: int
    """Replicas that were asked for."""
    peak: int
    """Most replicas at once, starting and draining ones included."""


def figures(timeline: Timeline, rules: Rules, usd_per_hour: float | None = None) -> Figures:
    """The figures of a timeline.

    Args:
        timeline: What came of a trace.
        rules: With the objectives.
        usd_per_hour: Price of one replica.
    """
    fates, trace = timeline.fates, timeline.trace
    waits = sorted(
        fate.first - request.arrival
        for fate, request in zip(fates, trace.requests, strict=True)
        if not fate.rejected
    )
    attained = sum(meets(trace, number, fate, rules) for number, fate in enumerate(fates))
    hours = timeline.replica_seconds / 3600
    return Figures(
        gpu_hours=hours * timeline.profile.devices,
        attained=attained / len(fates),
        ttft_p50=percentile(waits, 50),
        ttft_p99=percentile(waits, 99),
        usd=None if usd_per_hour is None else hours * usd_per_hour,
        requests=len(fates),
        answered=len(waits),
        held=sum(fate.held for fate in fates),
        rejected=len(fates) - len(waits),
        started=timeline.started,
        peak=max(m.running + m.starting + m.draining for m in timeline.moments),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent are not above (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
