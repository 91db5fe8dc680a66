"""Holds the simulator against what a live runtime did with the same trace.

What it needs of the live run: the same trace, sent from time 0 on; once a second the seconds since
then, the replicas that answer, and the requests that wait (held at the gateway, and not begun by
their replica); and a profile that was measured there, its start-up time above all. Both are
compared where both were looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from llmops.policies.simulation.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Observed:
    """The live runtime at one moment."""

    at: float
    """Seconds since the trace began."""
    running: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What may differ."""

    seconds: float = 5.0
    """By how much earlier or later the same may happen: polls, heartbeats and the spread of
    start-up times."""
    apart: float = 0.1
    """Share of the moments at which the replicas may differ all the same, 0 to 1."""
    waiting: float = 5.0
    """Mean difference of the requests that wait."""
    longest: float = 0.35
    """Difference of the longest queues, as a share of the longer one, 0 to 1: looks once a second
    miss the top of a short one."""


@dataclass(frozen=True, slots=True)
class Differences:
    """How far the two are apart."""

    moments: int
    apart: float
    """Share of the moments at which the live number of replicas is none that the simulator had
    within the tolerance of that time."""
    waiting: float
    """Mean distance of the live number of waiting requests from those the simulator had within the
    tolerance of that time."""
    longest: float
    """Difference of the longest queues, as a share of the longer one."""
    worst: tuple[Observed, ...]
    """Moments at which the replicas differ, the first five."""
    within: bool
    """Whether all of it is within the tolerance."""


def compare(
    simulated: Timeline, observed: Sequence[Observed], tolerance: Tolerance | None = None
) -> Differences:
    """What differs between a simulation and a live run.

    Raises:
        ValueError: When the two have no moment in common.
    """
    allowed = tolerance or Tolerance()
    times = [moment.at for moment in simulated.moments]
    seen = [one for one in observed if times and times[0] <= one.at <= times[-1]]
    if not seen:
        raise ValueError("expected moments of the live run within the trace, found none")
    wrong, distance = [], 0.0
    for one in seen:
        first = bisect_left(times, one.at - allowed.seconds)
        near = simulated.moments[first : bisect_right(times, one.at + allowed.seconds)]
        if one.running not in {moment.running for moment in near}:
            wrong.append(one)
        counts = [moment.queued + moment.held for moment in near]
        distance += max(0, min(counts) - one.waiting, one.waiting - max(counts))
    apart, waiting = len(wrong) / len(seen), distance / len(seen)
    queues = (max(one.waiting for one in seen), max(m.queued + m.held for m in simulated.moments))
    off = max(queues) - min(queues)
    longest = off / max(1, *queues)
    alike = longest <= allowed.longest or off <= allowed.waiting
    within = apart <= allowed.apart and waiting <= allowed.waiting and alike
    return Differences(len(seen), apart, waiting, longest, tuple(wrong[:5]), within)
