"""A service under a load, second by second: what decisions make of it when starts take their time.

It has replicas that start after a fixed time and requests that stay for a given time. It leaves out
that a full replica answers more slowly, queues inside replicas, and the cache.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from llmops.policies.scaling import Decision, Memory, Observation, ScalingSettings, decide

BEGIN = 1_700_000_000.0


@dataclass
class Service:
    """Replicas, requests, and each decision that changed something."""

    settings: ScalingSettings
    running: int = 1
    start_seconds: float = 40.0
    stay: float = 10.0
    seed: int = 1
    memory: Memory = field(default_factory=Memory)
    now: float = BEGIN
    starting: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    arrived: int = 0
    changes: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds since the beginning, replicas before and after."""
    reasons: list[str] = field(default_factory=list)
    owed: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def have(self) -> int:
        return self.running + len(self.starting)

    def run(self, seconds: int, rate: Callable[[float], float], *, noisy: bool = False) -> None:
        """Let time pass; `rate` gives arrivals a second at a time since the beginning."""
        for _ in range(seconds):
            self._second(rate(self.now - BEGIN), noisy)

    def _second(self, rate: float, noisy: bool) -> None:
        self.now += 1
        self.owed += rate
        new = self._poisson(rate) if noisy else math.floor(self.owed)
        self.owed -= math.floor(self.owed)
        self.arrived += new
        self.leaves = [at for at in self.leaves if at > self.now] + [self.now + self.stay] * new
        up = [at for at in self.starting if at <= self.now]
        self.starting = [at for at in self.starting if at > self.now]
        self.running += len(up)
        self._follow(self.decision())

    def decision(self) -> Decision:
        seen = Observation(
            now=self.now,
            running=self.running,
            starting=len(self.starting),
            in_flight=len(self.leaves) if self.running else 0,
            waiting=0 if self.running else len(self.leaves),
            arrived=self.arrived,
        )
        return decide(self.settings, seen, self.memory)

    def _follow(self, decision: Decision) -> None:
        self.memory = Memory.of(decision.memory.document())
        if decision.replicas == self.have:
            return
        self.changes.append((self.now - BEGIN, self.have, decision.replicas))
        self.reasons.append(decision.reason)
        for _ in range(decision.replicas - self.have):
            self.starting.append(self.now + self.start_seconds)
        while self.have > decision.replicas:
            if self.starting:
                self.starting.pop()
            else:
                self.running -= 1

    def _poisson(self, rate: float) -> int:
        count, left = 0, math.exp(-rate)
        product = self._random.random()
        while product > left:
            count += 1
            product *= self._random.random()
        return count

    def turns(self) -> int:
        """How often the number changed its direction."""
        ups = [after > before for _, before, after in self.changes]
        return sum(one != other for one, other in pairwise(ups))
