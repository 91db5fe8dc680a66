"""What came of a trace: each request's fate, and the service at each decision."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.trace import Trace


@dataclass(frozen=True, slots=True)
class Moment:
    """The service right after a decision."""

    at: float
    """Seconds of the trace."""
    wanted: int
    running: int
    starting: int
    draining: int
    in_flight: int
    queued: int
    """Of those in flight, the ones that no replica has begun."""
    held: int
    """Requests that wait for a replica."""
    reason: str


@dataclass(frozen=True, slots=True)
class Fate:
    """One request; seconds of the trace, infinite for what never came."""

    first: float = inf
    """First token."""
    end: float = inf
    """Last token."""
    held: bool = False
    """Whether it waited for a replica."""

    @property
    def rejected(self) -> bool:
        """Whether it was refused, and not answered."""
        return self.end == inf


@dataclass(frozen=True, slots=True)
class Timeline:
    """A trace under a policy."""

    trace: Trace
    profile: Profile
    seconds: float
    """Until when replicas were counted: the length of the trace."""
    fates: tuple[Fate, ...]
    """In the order of the trace."""
    moments: tuple[Moment, ...]
    spans: tuple[tuple[float, float], ...]
    """Of each replica, when it was asked for and when it had gone, within the trace."""
    started: int
    """Replicas that were asked for, those at the beginning left out."""

    @property
    def replica_seconds(self) -> float:
        """Time of replicas, from asking for each to its end, within the trace."""
        return sum(end - begin for begin, end in self.spans)
