"""A target that exists only here: it drives the real flow, and judges it at every instant.

Each change of the simulated runtime is an instant. At an instant the fate of the run may strike
(a kill, an interrupt, a reboot), and `judge` checks the promises: requests offered now are answered
by a verified release if one has answered before, no unverified release holds traffic, at most one
release is recorded as live, states only move downwards, and no number is given out twice.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from llmops.errors import BusyError, InputError, LlmopsError, ModelError, TargetError
from llmops.events import Event, Flow, Previewed, Progress
from llmops.planning import Facts, Plan
from llmops.policies import Shelf
from llmops.releases import Conflict, Figures, History, Phase, Release, Seen, State
from llmops.saved import Access
from llmops.spec import Deployment
from llmops.targets import KeyInfo, ServiceStatus
from tests.releases.plans import SERVICE, make_facts

T = TypeVar("T")

ORDER = {State.STAGING: 0, State.LIVE: 1, State.RETIRED: 2, State.FAILED: 2}


class Killed(BaseException):
    """kill -9: no handler of the flow runs for it."""


class BrokenPromise(AssertionError):
    """What `judge` found."""


class Fate(StrEnum):
    KILL = "kill"
    INTERRUPT = "interrupt"
    REBOOT = "reboot"
    """The machine restarts: the runtime is gone, and the run with it."""
    CONFLICT = "conflict"
    """The next write of the record is beaten by another."""
    CRASH = "crash"
    """An engine that runs dies; the run goes on."""


def _check_edit(before: History, after: History) -> None:
    """Refuse an edit of the record that no writer may make."""
    live = [r.number for r in after.releases if r.state is State.LIVE]
    if len(live) > 1:
        raise BrokenPromise(f"two releases are recorded as live: {live}")
    for old in before.releases:
        new = after.find(old.number)
        if new is None:
            _check_dropped(before, old)
            continue
        if new.created_at != old.created_at or new.plan.identity != old.plan.identity:
            raise BrokenPromise(f"number {old.number} was given out twice")
        down = ORDER[new.state] > ORDER[old.state]
        if new.state is not old.state and not down:
            raise BrokenPromise(f"release {old.number} went from {old.state} to {new.state}")
        if old.state is State.LIVE and new.state is State.FAILED:
            raise BrokenPromise(f"release {old.number} served, and is recorded as failed")


def _check_dropped(before: History, old: Release) -> None:
    """Refuse that a record goes that somebody still needs."""
    needed = {before.next_number - 1, getattr(before.last_good_before, "number", None)}
    needed |= {r.engine for r in before.releases if r.state in (State.LIVE, State.STAGING)}
    if old.state in (State.LIVE, State.STAGING) or old.number in needed:
        raise BrokenPromise(f"the record of release {old.number} was lost")


class MemoryStore:
    """A ReleaseStore in memory that judges each edit."""

    def __init__(self) -> None:
        self.history = History(SERVICE)
        self.version = 0
        self.conflicts = 0
        self.writes = 0

    def read(self, service: str) -> tuple[History, str]:
        assert service == SERVICE
        return self.history, str(self.version) if self.version else ""

    def write(self, history: History, version: str) -> str:
        if self.conflicts:
            self.conflicts -= 1
            self.version += 1
        if version != self.read(SERVICE)[1]:
            raise Conflict
        _check_edit(self.history, history)
        self.history = history
        self.version += 1
        self.writes += 1
        return str(self.version)

    def services(self) -> tuple[str, ...]:
        return (SERVICE,) if self.history.releases else ()


class MemoryPolicies:
    """A PolicyStore in memory."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.version = 0

    def read(self) -> tuple[Shelf, str]:
        return self.shelf, str(self.version) if self.version else ""

    def write(self, shelf: Shelf, version: str) -> str:
        if version != self.read()[1]:
            raise Conflict
        self.shelf = shelf
        self.version += 1
        return str(self.version)


class MemoryVault:
    """A Vault in memory: keys by service, as the documents that they are."""

    def __init__(self) -> None:
        self.held: dict[str, Access] = {}
        self.shared: dict[str, str] = {}

    def read(self, service: str) -> Access:
        return self.held.get(service, Access())

    def write(self, service: str, access: Access) -> None:
        self.held.setdefault(service, access)

    def read_shared(self) -> Mapping[str, str]:
        return self.shared

    def write_shared(self, files: Mapping[str, str], *, replace: bool) -> None:
        self.shared = {**files, **self.shared}


@dataclass
class App:
    """A release on the simulated runtime."""

    phase: Phase
    in_flight: int = 0
    replicas: int = 1
    engine: int = 0
    """The release whose engine it is loaded in; 0 is nobody's."""


@dataclass
class SimulatedTarget:
    """Implements `llmops.targets.Operator`. Models whose name holds `bad` misbehave as it says."""

    store: MemoryStore = field(default_factory=MemoryStore)
    policies: MemoryPolicies = field(default_factory=MemoryPolicies)
    vault: MemoryVault = field(default_factory=MemoryVault)
    apps: dict[int, App] = field(default_factory=dict)
    shares: dict[int, int] = field(default_factory=dict)
    verified: set[int] = field(default_factory=set)
    now: float = 1_000_000.0
    fates: dict[int, Fate] = field(default_factory=dict)
    instants: int = 0
    struck: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    """Fates that have struck, by what was being done."""
    changes: int = 0
    gap_allowed: bool = False
    """Whether the run may take the service away for a while: `recreate`, and destroy."""
    answering: bool = False
    """A verified release has held all traffic, and nothing since may have taken it away."""
    stale: int = 0
    """How many of the next looks show what was there before."""
    held: str = ""
    lock_open: bool = False
    lost_models: set[str] = field(default_factory=set)
    """Models that cannot be loaded any more, whatever they did before."""
    digests: Iterator[str] = field(default_factory=lambda: itertools.repeat("facts"))
    made_keys: dict[str, KeyInfo] = field(default_factory=dict)
    drains: list[tuple[int, float]] = field(default_factory=list)
    retired: list[bool] = field(default_factory=list)
    kept_logs: frozenset[int] | None = None
    _before: tuple[Seen, ...] = ()

    # The course of time

    def instant(self) -> None:
        """Something has changed or is about to: judge, and let fate strike."""
        self.instants += 1
        self.now += 0.5
        self.judge()
        fate = self.fates.pop(self.instants, None)
        if fate is not None:
            self.struck[self.held, fate] += 1
        if fate is Fate.CONFLICT:
            self.store.conflicts += 1
        elif fate is Fate.CRASH:
            self.crash()
        elif fate is Fate.REBOOT:
            self.reboot()
            raise Killed
        elif fate is Fate.KILL:
            raise Killed
        elif fate is Fate.INTERRUPT:
            raise KeyboardInterrupt

    def change(self, edit: Callable[[], None]) -> None:
        """One atomic change, with an instant before and one after it."""
        self.instant()
        self._before = self._look()
        edit()
        self.changes += 1
        self.instant()

    def reboot(self) -> None:
        self.apps.clear()
        self.shares.clear()
        self.answering = False

    def crash(self) -> None:
        """The engine that holds the traffic dies, and with it all that are loaded in it."""
        engines = {app.engine for number, app in self.apps.items() if self.shares.get(number)}
        for app in self.apps.values():
            if app.engine in engines:
                app.phase = Phase.FAILED
                self.answering = False

    def judge(self) -> None:
        """Raise BrokenPromise if a promise is broken now."""
        for number, share in self.shares.items():
            if share and number not in self.verified:
                raise BrokenPromise(f"release {number} was never verified, and holds {share} %")
            release = self.store.read(SERVICE)[0].find(number)
            if share == 100 and release and release.state in (State.STAGING, State.FAILED):
                raise BrokenPromise(f"release {number} is {release.state}, and holds all traffic")
        if self.gap_allowed:
            self.answering = self.answering and self._answers()
        elif self.answering and not self._answers():
            raise BrokenPromise(f"a request is turned away: {self.apps} {self.shares}")

    def _answers(self) -> bool:
        """Whether each request offered now reaches a running release."""
        holders = [number for number, share in self.shares.items() if share]
        up = [n for n in holders if n in self.apps and self.apps[n].phase is Phase.READY]
        return bool(holders) and up == holders

    # Observer

    def versions(self) -> dict[str, str]:
        return {}

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        yield Progress("model", "looking up")
        return make_facts(next(self.digests))

    def _look(self) -> tuple[Seen, ...]:
        return tuple(
            Seen(
                number, app.phase, self.shares.get(number, 0), app.in_flight, replicas=app.replicas
            )
            for number, app in sorted(self.apps.items())
        )

    def mend(self, service: str) -> Flow[None]:
        yield from ()

    def preview(self, plan: Plan) -> Flow[Previewed]:
        yield from ()
        return Previewed()

    def observe(self, service: str) -> tuple[Seen, ...]:
        assert service == SERVICE
        if self.stale:
            self.stale -= 1
            return self._before
        return self._look()

    def apart(self, one: Plan, other: Plan) -> str:
        return "its pods are others" if "other-pods" in other.model.source else ""

    def watched(self, service: str) -> dict[int, Figures]:
        """A hundred requests each; of a release whose model is `bad-canary`, every third fails."""
        self.instant()
        history = self.store.read(SERVICE)[0]
        releases = {n: history.find(n) for n, share in self.shares.items() if share}
        return {
            number: Figures(100, 33 if release and "bad-canary" in release.plan.identity else 0)
            for number, release in releases.items()
        }

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.instant()

    def status(self, service: str) -> ServiceStatus:
        raise NotImplementedError

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        raise NotImplementedError

    def url(self, service: str) -> str:
        return "http://127.0.0.1:8000/v1"

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        return tuple(self.made_keys.values())

    # Operator

    @contextlib.contextmanager
    def lock(self, service: str, purpose: str) -> Generator[None, None, None]:
        if self.held and not self.lock_open:
            raise BusyError(f"{service} is being {self.held}")
        self.held = purpose
        try:
            yield
        finally:
            self.held = ""

    def stage(self, release: Release) -> Flow[None]:
        number, model = release.number, release.plan.model.source
        yield Progress("stage", "loading")
        if "bad-download" in model or model in self.lost_models:
            raise ModelError(f"{model} is not what its manifest says", hint="fetch it again")
        app = self.apps.get(number)
        if app is None or app.phase is Phase.FAILED:
            starting = App(Phase.STARTING, engine=release.engine)
            self.change(lambda: self.apps.update({number: starting}))
            yield Progress("stage", "starting")
        phase = Phase.FAILED if "bad-start" in model else Phase.READY
        if number not in self.apps:
            raise TargetError(f"release {number} disappeared while it started")
        self.change(lambda: setattr(self.apps[number], "phase", phase))
        if phase is Phase.FAILED:
            raise TargetError(f"release {number} did not start: bad weights", hint="llmops logs")

    def verify(self, release: Release) -> Flow[None]:
        yield Progress("verify", "asking")
        app = self.apps.get(release.number)
        if app is None or app.phase is not Phase.READY or "bad-answer" in release.plan.identity:
            raise TargetError(f"release {release.number} did not prove itself")
        self.change(lambda: self.verified.add(release.number))

    def shift(
        self, release: Release, share: int = 100, beside: Release | None = None
    ) -> Flow[None]:
        yield Progress("shift", "moving")
        others = {beside.number: 100 - share} if beside else {}
        for number in (release.number, *others):
            app = self.apps.get(number)
            if app is None or app.phase is not Phase.READY:
                raise TargetError(f"release {number} cannot take the traffic")

        def move() -> None:
            self.shares = dict.fromkeys(self.apps, 0) | others | {release.number: share}
            self.answering = self._answers()

        self.change(move)

    def drain(self, release: Release, deadline: float) -> Flow[None]:
        yield Progress("drain", "waiting")
        self.drains.append((release.number, deadline))
        self.change(lambda: self.shares.update({release.number: 0}))
        app = self.apps.get(release.number)
        if app is None:
            return
        self.now = max(self.now, deadline if app.in_flight > 1 else self.now)
        if app.in_flight == 1:
            self.change(lambda: setattr(app, "in_flight", 0))

    def remove(self, service: str, number: int) -> Flow[None]:
        yield Progress("remove", "ending")

        def take() -> None:
            self.apps.pop(number, None)
            self.shares.pop(number, None)

        self.change(take)

    def forget_logs(self, service: str, keep: frozenset[int]) -> None:
        self.kept_logs = keep

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:
        yield Progress("remove", "ending the runtime")
        self.retired.append(keep_logs)
        self.made_keys.clear()
        self.instant()

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        if name in self.made_keys:
            raise InputError(f"there is a key {name}")
        self.made_keys[name] = KeyInfo(name, name, self.now, None, expires_at, models)
        self.changes += 1
        return self.made_keys[name], f"text-of-{name}"

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        self.made_keys[name] = KeyInfo(name, f"{name}-again", self.now, None, expires_at)
        return self.made_keys[name], f"new-text-of-{name}"

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        self.made_keys[name] = replace(self.made_keys[name], revoked_at=self.now)
        return self.made_keys[name]


def run(flow: Generator[Event, None, T]) -> tuple[list[Event], T]:
    """Drive a flow to its end; its events and what it returned."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(flow))
        except StopIteration as end:
            return events, end.value


def survive(flow: Generator[Event, None, object]) -> str:
    """Drive a flow until it ends in any way a run may end; how it ended."""
    try:
        run(flow)
    except (Killed, KeyboardInterrupt, LlmopsError) as end:
        return type(end).__name__
    return "done"
