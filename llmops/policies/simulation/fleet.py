"""The replicas of a service over time: they start, answer, drain and go; and each one's cost.

A new replica answers after the profile's start-up time. When fewer are wanted, those that still
start are given up first, the youngest before the others, as Ray Serve does; then those with the
fewest requests, which finish what they have begun. A replica costs from the moment that it is asked
for until it has gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from llmops.policies.simulation.engine import Engine
from llmops.policies.simulation.profile import Profile


class State(Enum):
    """What a replica does."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


class Replica:
    """One replica."""

    def __init__(self, number: int, profile: Profile, now: float, *, ready: bool) -> None:
        self.number = number
        self.began = now
        self.state = State.RUNNING if ready else State.STARTING
        self.engine = Engine(profile, now)
        self.version = 0
        """Counts changes: an event that was foreseen before the last one is void."""


class Fleet:
    """All replicas that have not gone."""

    def __init__(self, profile: Profile, initial: int) -> None:
        self._profile = profile
        self.replicas: dict[int, Replica] = {}
        self.started = 0
        """Replicas that were asked for after the beginning."""
        self.spans: list[tuple[float, float]] = []
        """Beginning and end of each replica that has gone."""
        self._numbers = 0
        for _ in range(initial):
            self._add(0.0, ready=True)

    def of(self, state: State) -> list[Replica]:
        """Those in a state, in the order of their start."""
        return [one for one in self.replicas.values() if one.state is state]

    def count(self, state: State) -> int:
        """How many are in a state."""
        return sum(one.state is state for one in self.replicas.values())

    def least(self) -> Replica | None:
        """The one that a request goes to: of those with room, the one with the fewest."""
        best, fewest = None, self._profile.most
        for one in self.replicas.values():
            if one.state is State.RUNNING and one.engine.in_flight < fewest:
                best, fewest = one, one.engine.in_flight
        return best

    def scale(self, wanted: int, now: float) -> Iterator[Replica]:
        """Have so many, those that start included; gives the ones that begin to start."""
        have = self.count(State.STARTING) + self.count(State.RUNNING)
        for _ in range(wanted - have):
            self.started += 1
            yield self._add(now, ready=False)
        for one in self._spare(have - wanted):
            if one.state is State.STARTING or not one.engine.in_flight:
                self.remove(one, now)
            else:
                one.state = State.DRAINING

    def _spare(self, count: int) -> list[Replica]:
        starting = sorted(self.of(State.STARTING), key=lambda one: -one.number)
        running = sorted(
            self.of(State.RUNNING), key=lambda one: (one.engine.in_flight, -one.number)
        )
        return [*starting, *running][: max(0, count)]

    def remove(self, replica: Replica, now: float) -> None:
        """It is gone."""
        del self.replicas[replica.number]
        self.spans.append((replica.began, now))

    def _add(self, now: float, *, ready: bool) -> Replica:
        self._numbers += 1
        one = Replica(self._numbers, self._profile, now, ready=ready)
        self.replicas[one.number] = one
        return one
