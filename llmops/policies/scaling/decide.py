"""From settings, an observation and a memory to a number of replicas, and why. Pure.

Up: as soon as a signal asks, and ahead of a rising load by the time that a start takes. Down: only
to what was needed at most within the settle time, so that a replica goes only when the others have
room for all that is there. To zero: after the idle time; from zero: with the first request. So a
number that went up does not go down again before the settle time has passed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.policies.scaling.memory import PARTS, Memory
from llmops.policies.scaling.needs import needs
from llmops.policies.scaling.observation import Observation
from llmops.policies.scaling.settings import ScalingSettings


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be."""

    replicas: int
    reason: str
    """A sentence without an end, for whoever asks why."""
    memory: Memory
    """To be handed to the next call."""


def decide(settings: ScalingSettings, observation: Observation, memory: Memory) -> Decision:
    """How many replicas there should be now, starting ones included.

    Args:
        settings: What holds for the service.
        observation: The service now.
        memory: What the call before returned; an empty one at first.
    """
    return _Moment(settings, observation, memory).decided()


class _Moment:
    """One decision: what is there, what is needed, and what is allowed."""

    def __init__(self, settings: ScalingSettings, seen: Observation, before: Memory) -> None:
        self._settings = settings
        self._seen = seen
        lead = before.startup or settings.startup_seconds
        self._memory = before.seeing(settings, seen, lead)
        self._lead = self._memory.startup or settings.startup_seconds
        self._new = before.new(seen)
        self._low, self._high = settings.bounds(seen.now, self._lead)

    def decided(self) -> Decision:
        """The number, its reason, and what to remember."""
        grow, keep, reason = self._needed()
        seen, settle = self._seen, self._settings.settle_seconds
        have = seen.provisioned
        self._memory = self._memory.needing(keep, seen, settle)
        if self._asleep():
            self._memory = replace(self._memory, peaks=self._memory.peaks[-1:])
        floor, spare = self._floor(), self._spare()
        if grow + spare < floor:
            reason = self._why_floor(floor)
        grow = self._bounded(max(grow + spare, floor))
        most = self._bounded(max(self._memory.most + spare, floor))
        if grow > have:
            return self._to(max(have, min(grow, self._room())), reason)
        if have > self._high:
            return self._to(self._high, f"at most {self._high} are allowed now")
        if most < have and self._may_shrink():
            return self._to(most, self._why_fewer(most))
        if not have:
            return self._to(have, self._why_fewer(0))
        return self._to(have, reason if grow == have else self._why_kept(most))

    def _needed(self) -> tuple[int, int, str]:
        """Replicas that the load needs: to grow to, to keep, and why."""
        settings, seen = self._settings, self._seen
        found = needs(settings, seen, self._memory, self._lead, asleep=self._asleep())
        first = max(found, key=lambda need: (need.grow, need.keep))
        grow, keep = first.grow, max(need.keep for need in found)
        reason = first.reason
        if self._missing() and seen.provisioned >= grow:
            grow, reason = seen.provisioned + self._help(), self._why_missed()
            keep = max(keep, grow)
        return grow, keep, reason

    def _bounded(self, replicas: int) -> int:
        return min(replicas, self._high)

    def _room(self) -> int:
        """Most replicas that may start: those that drain still hold their memory."""
        return self._high - self._seen.draining

    def _awake(self) -> bool:
        """Whether somebody asks, or did lately."""
        seen, busy = self._seen, self._memory.busy_at
        if seen.demand > 0 or self._new > 0:
            return True
        lately = busy is not None and seen.now - busy < self._settings.idle_seconds
        return seen.provisioned > 0 and lately

    def _asleep(self) -> bool:
        """Whether nothing is kept in reserve: the idle time has passed, and none need be left."""
        return not self._low and not self._awake()

    def _floor(self) -> int:
        return max(self._low, 1 if self._awake() else 0)

    def _spare(self) -> int:
        return self._settings.warm if self._low or self._awake() else 0

    # Objectives

    def _missing(self) -> bool:
        """Whether requests miss their objective, and load is why."""
        settings, seen = self._settings, self._seen
        loaded = seen.demand > seen.running * settings.target_in_flight / 2
        if not seen.running or not loaded or self._full_lately():
            return False
        late = settings.ttft is not None and seen.oldest_wait > settings.ttft
        return late or (seen.missed is not None and seen.missed > 1 - settings.percent / 100)

    def _full_lately(self) -> bool:
        """Whether full replicas are why: what they need is known already. Where others miss the
        objective, they take less than their capacity says."""
        full = self._memory.full_at
        return full is not None and self._seen.now - full < self._pause

    @property
    def _pause(self) -> float:
        return self._lead + self._settings.settle_seconds

    def _help(self) -> int:
        """One more at a time, and none before the last one has shown what it changes."""
        helped, now = self._memory.helped_at, self._seen.now
        if self._seen.starting or (helped is not None and now - helped < self._pause):
            return 0
        self._memory = replace(self._memory, helped_at=now)
        return 1

    def _may_shrink(self) -> bool:
        """Steps down come apart, so that each shows what it changes."""
        down, now = self._memory.down_at, self._seen.now
        apart = self._settings.settle_seconds / PARTS
        return down is None or now - down >= apart

    # What is told

    def _to(self, replicas: int, reason: str) -> Decision:
        memory = self._memory
        if replicas < self._seen.provisioned:
            memory = replace(memory, down_at=self._seen.now)
        return Decision(replicas, reason, memory)

    def _why_floor(self, floor: int) -> str:
        if floor > self._low:
            return "somebody asked lately"
        scheduled = floor != min(self._settings.low, self._high)
        return f"{floor} is the least{' by the schedule' if scheduled else ''}"

    def _why_missed(self) -> str:
        seen = self._seen
        if seen.missed is not None and seen.missed > 1 - self._settings.percent / 100:
            return f"{seen.missed:.0%} of requests missed the objective in the last minute"
        return f"a request has waited for {seen.oldest_wait:.1f} s"

    def _why_fewer(self, most: int) -> str:
        if not most:
            return f"no request for {self._settings.idle_seconds:g} s"
        settle = self._settings.settle_seconds
        return f"not more than {most} were needed within {settle:g} s"

    def _why_kept(self, most: int) -> str:
        if most < self._seen.provisioned:
            return "a change is under way"
        return f"{most} were needed within the last {self._settings.settle_seconds:g} s"
