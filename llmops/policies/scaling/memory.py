"""What a decision must know of the moments before it: plain values, kept by whoever asks.

Rates are exponential averages over a short and a long time. An average with the time constant T
lags a steady ramp by T, so their difference over (long - short) is the ramp's slope, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from llmops.policies.scaling.averages import constants, weight
from llmops.policies.scaling.foresight import Arrivals, Foresight
from llmops.policies.scaling.observation import Observation
from llmops.policies.scaling.settings import TOLERANCE, ScalingSettings

SMOOTH = 5.0
"""Time constant of the load that a scale-up answers to, in seconds: shorter peaks are noise."""
PARTS = 12
"""Parts of the settle time whose highest need is remembered apart."""
SHORTEST = 0.1
"""Seconds of the shortest such part."""
QUEUE_PARTS = 4
"""Of the time that a replica takes to start, the part within which a queue is to be answered is one
of so many. Chosen by simulations of made-up loads (`benchmarks/scaling.py`, other seeds): one part
answers sudden loads late, and with twelve the replicas that find nobody come back."""
LEARNED = 0.5
"""Weight of a new measurement of the start-up time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Empty at first. Times in Unix seconds, lengths in seconds, rates in requests a second."""

    at: float | None = None
    """The observation before."""
    since: float | None = None
    """The first observation that knew of arrivals."""
    arrived: float | None = None
    running: int = 0
    load: float = 0.0
    """Requests there, averaged over `SMOOTH`."""
    quick: float = 0.0
    """Arrivals, averaged over `SMOOTH`: what a queue that has just begun is about to become."""
    short: float = 0.0
    long: float = 0.0
    """Arrivals, averaged over a short and a long time."""
    present: float = 0.0
    """Requests there, averaged over the long time, of the moments when no replica was full."""
    calm: float = 0.0
    """Arrivals, averaged over the long time, of the same moments."""
    stay: float = 0.0
    """Seconds that a request stays (Little's law: present / calm); 0 is not known."""
    busy_at: float | None = None
    """When there last was a request."""
    down_at: float | None = None
    """When replicas were last taken away."""
    helped_at: float | None = None
    """When a replica was last added because an objective was missed."""
    peaks: tuple[tuple[float, int], ...] = ()
    """Beginning and highest need of each part of the settle time, oldest first."""
    asked: tuple[float, ...] = ()
    """When each replica that starts now was asked for, oldest first."""
    startup: float | None = None
    """Measured time to start a replica; None before the first."""
    full_at: float | None = None
    """When replicas were last full."""
    foresight: Foresight = field(default_factory=Foresight)
    """What is coming; kept only where it is known what a replica takes."""

    def document(self) -> dict[str, Any]:
        """The same as JSON's own values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` gave; an empty one is an empty memory."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        if "peaks" in known:
            known["peaks"] = tuple((float(at), int(need)) for at, need in known["peaks"])
        if "asked" in known:
            known["asked"] = tuple(known["asked"])
        if "foresight" in known:
            known["foresight"] = Foresight.of(known["foresight"])
        return cls(**known)

    def seeing(self, settings: ScalingSettings, seen: Observation, lead: float) -> Memory:
        """After one more observation.

        Args:
            settings: With what replicas are to take, and can.
            seen: What is there now.
            lead: Seconds that a replica takes to start; trends are looked for on that scale.
        """
        elapsed = max(0.0, seen.now - self.at) if self.at is not None else 0.0
        busy = seen.demand > 0 or self.new(seen) > 0 or self.busy_at is None
        after = replace(
            self._rates(settings, seen, elapsed, lead),
            at=seen.now,
            full_at=seen.now if _full(settings, seen) else self.full_at,
            arrived=self.arrived if seen.arrived is None else seen.arrived,
            running=seen.running,
            load=self.load + weight(elapsed, SMOOTH) * (self.room(seen, lead) - self.load)
            if self.at is not None
            else seen.demand,
            busy_at=seen.now if busy else self.busy_at,
        )
        return _timed(after, seen, self.running)

    def room(self, seen: Observation, lead: float) -> float:
        """Requests that there must be room for.

        Who waits while replicas run will mostly have been answered when one that starts now is
        there. So a queue counts with what it takes to answer it within a part of that time, beside
        the arrivals; counted in full, each queue would start replicas that find nobody.
        """
        if not self.stay or not seen.running or not seen.waiting:
            return seen.demand
        steady = max(seen.in_flight, max(self.quick, self.short) * self.stay)
        within = lead / QUEUE_PARTS
        share = self.stay / within if within > self.stay else 1.0
        return min(seen.demand, steady + seen.waiting * share)

    def new(self, seen: Observation) -> float:
        """Requests that arrived since the observation before; a count begun again gives none."""
        if seen.arrived is None or self.arrived is None:
            return 0.0
        return max(0.0, seen.arrived - self.arrived)

    def _rates(
        self, settings: ScalingSettings, seen: Observation, elapsed: float, lead: float
    ) -> Memory:
        if seen.arrived is None or self.arrived is None:
            return replace(self, since=None if seen.arrived is None else seen.now)
        if not elapsed:
            return self
        short, long = constants(lead)
        rate = self.new(seen) / elapsed
        age = seen.now - self.since if self.since is not None else math.inf
        rates = replace(
            self,
            quick=self.quick + weight(elapsed, SMOOTH, age) * (rate - self.quick),
            short=self.short + weight(elapsed, short, age) * (rate - self.short),
            long=self.long + weight(elapsed, long, age) * (rate - self.long),
        )
        if settings.capacity:
            arrivals = Arrivals(elapsed, age, rate, rates.short, rates.long)
            ahead = self.foresight.seeing(settings, seen, arrivals, lead)
            rates = replace(rates, foresight=ahead)
        # What waits says how long a queue is, and not how long a request takes.
        takes = settings.capacity or settings.target_in_flight * TOLERANCE
        waits = seen.demand > seen.running * takes
        if waits or not (seen.demand or rate):
            # While nobody asks nothing is learned: forgotten, the first seconds of the next load
            # would say that requests stay for no longer than it has lasted.
            return rates
        share = weight(elapsed, long)
        present = self.present + share * (seen.demand - self.present)
        calm = self.calm + share * (rate - self.calm)
        return replace(
            rates, present=present, calm=calm, stay=present / calm if calm > 0 else self.stay
        )

    def needing(self, need: int, seen: Observation, settle: float) -> Memory:
        """Remember that so many replicas were needed. What is there at first counts as needed."""
        now = seen.now
        need = need if self.peaks else max(need, seen.provisioned)
        part = max(settle / PARTS, SHORTEST)
        begin = math.floor(now / part) * part
        kept = [(at, most) for at, most in self.peaks if at + part > now - settle and at <= now]
        if kept and kept[-1][0] == begin:
            kept[-1] = (begin, max(need, kept[-1][1]))
        else:
            kept.append((begin, need))
        return replace(self, peaks=tuple(kept))

    @property
    def most(self) -> int:
        """The highest need within the settle time."""
        return max((need for _, need in self.peaks), default=0)


def _timed(memory: Memory, seen: Observation, ran: int) -> Memory:
    """Measure how long the replicas that have come up took; `ran` is how many answered before."""
    came = min(max(0, seen.running - ran), len(memory.asked))
    startup = memory.startup
    for asked in memory.asked[:came]:
        took = seen.now - asked
        startup = took if startup is None else startup + LEARNED * (took - startup)
    left = memory.asked[came:][: seen.starting]
    return replace(memory, asked=left + (seen.now,) * (seen.starting - len(left)), startup=startup)


def _full(settings: ScalingSettings, seen: Observation) -> bool:
    """Whether replicas work on all that they can, as far as that is known."""
    if not settings.capacity or not seen.running:
        return False
    return seen.waiting > 0 or seen.in_flight >= seen.running * settings.capacity
