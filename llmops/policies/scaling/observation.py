"""What is seen of a service at one moment. Values only: whoever looks fills them in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """A service at `now`. What cannot be known there keeps its default, and decides nothing."""

    now: float
    """Unix seconds; later than that of the observation before."""
    running: int
    """Replicas that answer."""
    starting: int = 0
    """Replicas that were asked for and do not answer yet."""
    draining: int = 0
    """Replicas that finish what they have begun, and take nothing new; they hold their memory."""
    in_flight: float = 0.0
    """Requests that were handed to replicas, or wait for one that takes them."""
    queued: float = 0.0
    """Of those in flight, the ones that a replica has not begun."""
    waiting: int = 0
    """Requests held at the gateway, beside those in flight."""
    oldest_wait: float = 0.0
    """Seconds that the oldest request that nobody has begun has waited."""
    kv_use: float | None = None
    """Share of the KV cache in use, 0 to 1: the mean of the running replicas."""
    tokens_per_second: float = 0.0
    """Generated, by all replicas."""
    arrived: float | None = None
    """Requests that have ever arrived: a count that only grows, or begins again at 0."""
    missed: float | None = None
    """Share of the requests of the last minute, 0 to 1, that missed an objective; None where
    there is none, or nobody asked."""

    @property
    def demand(self) -> float:
        """Requests that are there now, wherever they are."""
        return self.in_flight + self.waiting

    @property
    def provisioned(self) -> int:
        """Replicas that answer or soon will."""
        return self.running + self.starting
