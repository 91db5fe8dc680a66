"""Replays a trace: events in the order of their times, the same every time.

The policy is asked once a second, as the live runtime asks it, and sees what it would see there.
Between two decisions nothing is stepped through: requests come, prompts are read, answers end and
replicas become ready at their exact times. Requests go to the replica with the fewest (Ray Serve
compares two at random); without a replica with room they are held, first come first served, up to a
number and a time, and refused beyond.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from llmops.policies.scaling import Observation
from llmops.policies.simulation.engine import Job
from llmops.policies.simulation.fleet import Fleet, Replica, State
from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.timeline import Fate, Moment, Timeline
from llmops.policies.simulation.trace import Trace

Scaler = Callable[[Observation], tuple[int, str]]
"""From what is seen to the number of replicas, starting ones included, and why."""

MISSED_WITHIN = 60.0
"""Seconds of the past whose requests a policy is told the missed share of."""

LINGER = 3600.0
"""Seconds after the trace in which what is still there may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a service is run beside its scaling; times in seconds."""

    initial: int = 1
    """Replicas that answer when the trace begins."""
    interval: float = 1.0
    """From one decision to the next."""
    most_held: int = 100
    """Requests that wait while no replica runs at most; more are refused."""
    hold_seconds: float = 300.0
    """Longest that one may wait so, before it is refused."""
    most_queued: int = 512
    """Requests that wait for their turn at most, while replicas run and are full; the gateway's."""
    queue_seconds: float = 30.0
    """Longest that one may wait so; the gateway's too."""
    ttft: float | None = None
    """Objective for the time to first token."""
    tpot: float | None = None
    """Objective for the time per output token after the first."""


def replay(
    trace: Trace,
    profile: Profile,
    rules: Rules,
    scaler: Scaler,
    progress: Callable[[float], None] = lambda _share: None,
) -> Timeline:
    """Replay a trace.

    Args:
        trace: The requests.
        profile: What a replica can do.
        rules: How the service is run.
        scaler: Decides how many replicas there are to be; asked in the order of time.
        progress: Told the share of the trace that is done, now and then.
    """
    return _Replay(trace, profile, rules, scaler).run(progress)


class _Replay:
    def __init__(self, trace: Trace, profile: Profile, rules: Rules, scaler: Scaler) -> None:
        self._trace, self._profile = trace, profile
        self._rules, self._scaler = rules, scaler
        self._fleet = Fleet(profile, rules.initial)
        self._events: list[tuple[float, int, int]] = []
        """Time, number and version of a replica for which something happens."""
        self._held: deque[int] = deque()
        self._fates = [Fate()] * len(trace.requests)
        self._left = len(trace.requests)
        """Requests without a fate."""
        self._arrived = 0
        self._late: deque[tuple[float, bool]] = deque()
        self._late_count = 0
        self._awake = 0.0
        """Since when a replica runs."""
        self._moments: list[Moment] = []

    def run(self, progress: Callable[[float], None]) -> Timeline:
        """All of it."""
        seconds, interval = self._trace.seconds, self._rules.interval
        tick, at = 0, 0.0
        while at < seconds or (self._left and at < seconds + LINGER):
            self._until(at)
            self._decide(at)
            if tick % 256 == 0:
                progress(min(1.0, at / seconds))
            tick += 1
            at = tick * interval
        self._until(at)
        self._refuse_all()
        return Timeline(
            self._trace, self._profile, seconds, tuple(self._fates),
            tuple(moment for moment in self._moments if moment.at < seconds),
            tuple(self._spans(seconds)), self._fleet.started,
        )  # fmt: skip

    # Time

    def _until(self, end: float) -> None:
        """Let happen what comes before `end`, or at it."""
        requests = self._trace.requests
        while True:
            arrival = requests[self._arrived].arrival if self._arrived < len(requests) else inf
            event = self._events[0][0] if self._events else inf
            if min(arrival, event) > end:
                return
            if event <= arrival:
                at, number, version = heappop(self._events)
                replica = self._fleet.replicas.get(number)
                if replica is not None and replica.version == version:
                    self._happen(replica, at)
            else:
                self._arrive(arrival)

    def _foresee(self, replica: Replica) -> None:
        replica.version += 1
        at = replica.engine.next_event()
        if at < inf:
            heappush(self._events, (at, replica.number, replica.version))

    # Requests

    def _arrive(self, now: float) -> None:
        number, self._arrived = self._arrived, self._arrived + 1
        replica = self._fleet.least() if not self._held else None
        if replica is not None:
            self._hand(number, replica, now)
        elif len(self._held) < self._room():
            self._held.append(number)
            self._fates[number] = Fate(held=True)
        else:
            self._refuse(now)

    def _hand(self, number: int, replica: Replica, now: float) -> None:
        request = self._trace.requests[number]
        replica.engine.take(Job(number, request.input_tokens, request.output_tokens), now)
        self._foresee(replica)

    def _hand_held(self, now: float) -> None:
        while self._held and (replica := self._fleet.least()) is not None:
            self._hand(self._held.popleft(), replica, now)

    def _refuse(self, now: float) -> None:
        self._left -= 1
        self._note(now, late=True)

    def _room(self) -> int:
        running = self._fleet.count(State.RUNNING)
        return self._rules.most_queued if running else self._rules.most_held

    def _refuse_old(self, now: float) -> None:
        rules, since = self._rules, 0.0
        oldest = now - rules.hold_seconds
        if self._fleet.count(State.RUNNING):
            # Whoever was there before a replica ran has waited for its turn since then only.
            since, oldest = self._awake, now - rules.queue_seconds
        while self._held and max(self._trace.requests[self._held[0]].arrival, since) < oldest:
            self._held.popleft()
            self._refuse(now)

    def _refuse_all(self) -> None:
        """Whoever still waits when the simulation ends has had no answer."""
        self._left -= len(self._held)
        self._held.clear()

    # Replicas

    def _happen(self, replica: Replica, now: float) -> None:
        if replica.state is State.STARTING:
            self._awake = self._awake if self._fleet.count(State.RUNNING) else now
            replica.state = State.RUNNING
            self._hand_held(now)
            return
        first, ended = replica.engine.happen(now)
        for number, at in first:
            self._fates[number] = Fate(first=at, held=self._fates[number].held)
        for number in ended:
            self._end(number, now)
        if replica.state is State.DRAINING and not replica.engine.in_flight:
            self._fleet.remove(replica, now)
            return
        self._foresee(replica)
        if ended:
            self._hand_held(now)

    def _end(self, number: int, now: float) -> None:
        fate = self._fates[number]
        # The first token comes with the step that ends the prompt: an answer of one ends with it.
        fate = Fate(fate.first, max(now, fate.first), fate.held)
        self._fates[number] = fate
        self._left -= 1
        self._note(now, late=not meets(self._trace, number, fate, self._rules))

    def _note(self, now: float, *, late: bool) -> None:
        self._late.append((now, late))
        self._late_count += late

    def _missed(self, now: float) -> float | None:
        while self._late and self._late[0][0] < now - MISSED_WITHIN:
            self._late_count -= self._late.popleft()[1]
        return self._late_count / len(self._late) if self._late else None

    # Decisions

    def _decide(self, now: float) -> None:
        self._refuse_old(now)
        wanted, reason = self._scaler(self._seen(now))
        for replica in self._fleet.scale(wanted, now):
            replica.version += 1
            heappush(self._events, (now + self._profile.startup, replica.number, replica.version))
        self._moments.append(self._moment(now, wanted, reason))

    def _seen(self, now: float) -> Observation:
        running = self._fleet.of(State.RUNNING)
        held = self._profile.kv_tokens
        objective = self._rules.ttft is not None or self._rules.tpot is not None
        return Observation(
            now=now,
            running=len(running),
            starting=self._fleet.count(State.STARTING),
            draining=self._fleet.count(State.DRAINING),
            in_flight=float(sum(one.engine.in_flight for one in running)),
            queued=float(sum(one.engine.waiting for one in running)),
            waiting=len(self._held),
            oldest_wait=now - self._trace.requests[self._held[0]].arrival if self._held else 0.0,
            kv_use=min(1.0, sum(one.engine.cached(now) for one in running) / (held * len(running)))
            if held and running
            else None,
            tokens_per_second=sum(one.engine.tokens_per_second for one in running),
            arrived=float(self._arrived),
            missed=self._missed(now) if objective else None,
        )

    def _moment(self, now: float, wanted: int, reason: str) -> Moment:
        fleet = self._fleet
        engines = [one.engine for one in fleet.replicas.values()]
        return Moment(
            now, wanted, fleet.count(State.RUNNING), fleet.count(State.STARTING),
            fleet.count(State.DRAINING), sum(one.in_flight for one in engines),
            sum(one.waiting for one in engines), len(self._held), reason,
        )  # fmt: skip

    def _spans(self, seconds: float) -> Iterator[tuple[float, float]]:
        alive = [(one.began, inf) for one in self._fleet.replicas.values()]
        for begin, end in sorted([*self._fleet.spans, *alive]):
            if begin < seconds:
                yield begin, min(end, seconds)


def meets(trace: Trace, number: int, fate: Fate, rules: Rules) -> bool:
    """Whether a request was answered within the objectives."""
    request = trace.requests[number]
    if fate.rejected or (rules.ttft is not None and fate.first - request.arrival > rules.ttft):
        return False
    if rules.tpot is None or request.output_tokens < 2:
        return True
    return (fate.end - fate.first) / (request.output_tokens - 1) <= rules.tpot
