"""What load is coming, how sure that is, and what a request costs: learned from the past. Pure.

Three forecasters are asked what arrivals there will be when a replica that is asked for now has
started: the last moments go on; a longer time goes on; the trend goes on. Each is judged when that
time has come, and the one with the smallest error is believed. Above it a reserve is kept, of so
many of its own standard errors: more when requests have missed their objective, less when none has
for long. So a load that jumps keeps a reserve as high as its jumps, where the objective needs it,
and one that can be foreseen keeps hardly any.

It refuses to learn from what says nothing: requests that may have been refused cost nothing, and a
forecast is judged by arrivals, never by what replicas made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Self

from llmops.policies.scaling.averages import constants, weight
from llmops.policies.scaling.observation import Observation
from llmops.policies.scaling.settings import ScalingSettings
from llmops.policies.scaling.staffing import offered

PARTS = 6
"""Forecasts that are made within the time that a replica takes to start."""
COST_OVER = 300.0
"""Time constant of what a request costs, in seconds: that changes with what is asked, slowly."""
REFUSED = 10.0
"""Seconds; who has waited for longer may be refused without having been begun: moments in which
there are such say nothing of the cost."""
ERRORS_OVER = 900.0
"""Time constant of a forecaster's squared error, in seconds."""
GUESSED_FOR = 300.0
"""Seconds of errors that the first guess of them counts as much as."""
GUESS = 0.1
"""First guess of a forecast's error beside the noise of arrivals, as a share of the load."""
SURE = 2.0
"""Standard deviations of noise up to which a trend counts for nothing; beyond, it counts by
1 - (noise / trend)^2, the weight that makes the error of such an estimate least."""
STEEPEST = 2.0
"""Of the arrivals now, the most that a trend foresees: none goes on for ever."""
BEGIN = 0.5
"""Share of the normal quantile of the objective's percent that the reserve begins with. Less than
all of it, for requests may wait as long as the objective allows, and replicas are whole ones.
Chosen by simulations of made-up loads (`benchmarks/scaling.py`, training seeds)."""
MOST = 3.0
"""Standard errors that are kept in reserve at most."""
PATIENCE = 120.0
"""In so many seconds in which all requests miss the objective, the reserve grows by one standard
error; in as many in which none does, it falls by what the objective allows to miss of that. So over
a long time as many miss as the objective allows."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """Empty at first. Rates in requests a second, costs in seconds of a full replica."""

    quick: float = 0.0
    """Arrivals, averaged over a part of the time that a start takes."""
    slow: float = 0.0
    """Arrivals, averaged over twice that time."""
    trend: float = 0.0
    """What the trend foresees."""
    cost: float = 0.0
    """Of one request, as it was known before the last observation; 0 is not known. One late, so
    that more load in one look never makes requests seem cheaper than the look before."""
    done: float = 0.0
    """Replicas' work, averaged."""
    begun: float = 0.0
    """Requests a second that replicas began, averaged over the same moments: a queue is counted
    when it is worked off, as the work is."""
    behind: float | None = None
    """Requests that waited at the observation before; None is not known."""
    learned: float = 0.0
    """Seconds of such moments."""
    pending: tuple[tuple[float, float, float, float], ...] = ()
    """When forecasts were made, and what each forecaster said; oldest first."""
    errors: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Mean squared error of each, without the first guess's share."""
    judged: float = 0.0
    """Seconds of forecasts that were judged."""
    reserve: float | None = None
    """Standard errors that are kept in reserve; None before the first observation."""

    def document(self) -> dict[str, Any]:
        """The same as JSON's own values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` gave."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        if "pending" in known:
            known["pending"] = tuple(tuple(entry) for entry in known["pending"])
        if "errors" in known:
            known["errors"] = tuple(known["errors"])
        return cls(**known)

    def seeing(
        self, settings: ScalingSettings, seen: Observation, arrivals: Arrivals, lead: float
    ) -> Foresight:
        """After one more observation.

        Args:
            settings: With what a replica takes, and the objective.
            seen: What is there now.
            arrivals: What has come since the observation before, and its averages.
            lead: Seconds that a replica takes to start.
        """
        after = _costing(self._judged(seen.now, lead), settings.capacity or 0, seen, arrivals)
        after = replace(
            after,
            cost=self._known(),
            quick=after.quick
            + arrivals.weight(quick_constant(lead)) * (arrivals.rate - after.quick),
            slow=after.slow + arrivals.weight(2 * lead) * (arrivals.rate - after.slow),
            reserve=_kept(settings, seen, self.reserve, arrivals.elapsed),
        )
        after = replace(after, trend=_trend(after.quick, arrivals, lead))
        if after.pending and seen.now - after.pending[-1][0] < lead / PARTS:
            return after
        made = (seen.now, after.quick, after.slow, after.trend)
        return replace(after, pending=(*after.pending, made)[-2 * PARTS :])

    def expected(self, lead: float) -> float:
        """Arrivals that there is to be room for, once a replica that is asked for now answers."""
        said = (self.quick, self.slow, self.trend)
        best = min(range(len(said)), key=lambda at: self.errors[at])
        guess = (GUESS * self.quick) ** 2 + self.quick / (2 * quick_constant(lead))
        error = self.errors[best] + guess * GUESSED_FOR / (GUESSED_FOR + self.judged)
        return said[best] + (self.reserve or 0.0) * math.sqrt(error)

    def evened(self, lead: float, wait: float) -> float:
        """Arrivals that need no replica: the noise of the quick average, as far as it is evened out
        by requests that may wait for so many seconds. By the slow average, and half of it at most,
        so that it never grows by more than what it is taken from."""
        over = 2 * quick_constant(lead)
        return min(self.slow * min(wait / over, 0.5), math.sqrt(self.slow / over))

    def _known(self) -> float:
        return self.done / self.begun if self.begun > 0 else self.cost

    def _judged(self, now: float, lead: float) -> Foresight:
        """By the load before this observation: how wrong were those who spoke of this moment."""
        after = self
        while after.pending and after.pending[0][0] <= now - lead:
            _, *said = after.pending[0]
            part = lead / PARTS
            share = max(weight(part, ERRORS_OVER), part / (after.judged + GUESSED_FOR))
            wrong = [(self.quick - one) ** 2 for one in said]
            first, second, third = (
                old + share * (new - old) for old, new in zip(after.errors, wrong, strict=True)
            )
            after = replace(
                after, errors=(first, second, third), judged=after.judged + part,
                pending=after.pending[1:],
            )  # fmt: skip
        return after


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What has come since the observation before; rates in requests a second."""

    elapsed: float
    """Seconds since then; 0 at first."""
    age: float
    """Seconds since the first observation."""
    rate: float
    short: float
    long: float
    """Averages with the constants that trends are looked for by."""

    def weight(self, constant: float) -> float:
        """Of what is new, in an average with this time constant; a plain mean at the beginning."""
        return weight(self.elapsed, constant, self.age)


def _costing(before: Foresight, capacity: int, seen: Observation, arrivals: Arrivals) -> Foresight:
    """What requests cost: the work that was done by the requests that were begun."""
    behind = max(0.0, seen.demand - seen.running * capacity)
    known, before = before.behind, replace(before, behind=behind)
    if known is None or seen.oldest_wait > REFUSED or not (seen.demand or arrivals.rate):
        return before
    rate = arrivals.rate - (behind - known) / arrivals.elapsed
    learned = before.learned + arrivals.elapsed
    share = weight(arrivals.elapsed, COST_OVER, learned)
    work = offered(seen.in_flight, seen.running, capacity)
    return replace(
        before, learned=learned, done=before.done + share * (work - before.done),
        begun=before.begun + share * (rate - before.begun),
    )  # fmt: skip


def quick_constant(lead: float) -> float:
    """Time constant of the quick average, for starts that take `lead` seconds."""
    return min(max(lead / 4, 5.0), 30.0)


def _trend(now: float, arrivals: Arrivals, lead: float) -> float:
    short, long = constants(lead)
    apart = arrivals.short - arrivals.long
    # The variance of the difference of two such averages of a Poisson process.
    variance = max(arrivals.long, 1 / long) * (0.5 / short + 0.5 / long - 2 / (short + long))
    noise = SURE**2 * variance
    sure = 1 - noise / apart**2 if apart**2 > noise else 0.0
    later = arrivals.short + sure * apart / (long - short) * (short + lead)
    return max(0.0, min(later, STEEPEST * max(now, arrivals.short)))


def _kept(
    settings: ScalingSettings, seen: Observation, before: float | None, elapsed: float
) -> float:
    """Without an objective nobody says that waiting is bad: nothing is kept in reserve."""
    if settings.ttft is None and settings.tpot is None:
        return 0.0
    allowed = 1 - min(settings.percent, 99.99) / 100
    begin = BEGIN * NormalDist().inv_cdf(1 - allowed)
    kept = before if before is not None else max(0.0, begin)
    if seen.missed is None:
        return kept
    return min(max(kept + (seen.missed - allowed) * elapsed / PATIENCE, 0.0), MOST)
