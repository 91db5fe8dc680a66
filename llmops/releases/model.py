"""The words of releases: a Release, the History of a service, and what is observed of them.

Values only. `rollout` decides over them; a target stores and carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from llmops.planning import Plan
from llmops.releases.watching import Summary


class State(StrEnum):
    """How far a release has come, as recorded. Only ever moves downwards in this list."""

    STAGING = "staging"
    """Recorded; being started and verified. Gets no traffic until it is verified, and then only
    some, while it is watched."""
    LIVE = "live"
    """Verified by a real generation; the one that should hold the traffic."""
    RETIRED = "retired"
    """Was live; a later release took over. May still be draining."""
    FAILED = "failed"
    """Never came to serve: did not start, did not verify, or was worse while it was watched.
    `reason` says why."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A share of the traffic that a release was watched with beside the last good one, and has
    been: for how long, and what was counted. Times are Unix seconds."""

    share: int
    since: float
    until: float
    new: Summary
    old: Summary
    outcome: str
    """What was made of it, for a person."""


@dataclass(frozen=True, slots=True)
class Release:
    """A numbered, recorded application of a plan. Times are Unix seconds."""

    service: str
    number: int
    plan: Plan
    state: State
    created_at: float
    verified_at: float | None = None
    ended_at: float | None = None
    """When it failed, or began to drain."""
    reason: str = ""
    rollback_of: int | None = None
    """The number whose plan it repeats, when `llmops rollback` made it."""
    watched_since: float | None = None
    """When it was verified and began to get some of the traffic, to be watched."""
    watched: tuple[Watched, ...] = ()
    """The shares of the traffic that it has been watched with since then, in order."""
    ended_by: str = ""
    """Who ended the watch by hand, for it or against it: user and host."""
    emergency: str = ""
    """Why it was made, or ended, while the service's maintenance windows were closed."""
    emergency_by: str = ""
    """Who did that: user and host."""
    begins: int = 0
    """Replicas that it begins with, because the release before it ran so many then, and they were
    more than its lowest number; 0: the lowest."""
    going_back: bool = False
    """Whether `llmops rollback` made it, or took it back, and has not come to its end: one that is
    killed is gone on with, even where nothing is seen any more of what it left half done."""
    hosted_by: int | None = None
    """The release in whose engine its adapter is loaded; None where it has an engine of its own."""

    @property
    def engine(self) -> int:
        """The release whose engine answers for it: itself, unless another's is used."""
        return self.number if self.hosted_by is None else self.hosted_by


@dataclass(frozen=True, slots=True)
class History:
    """All releases of one service, oldest first, and the next number to give out."""

    service: str
    releases: tuple[Release, ...] = ()

    @property
    def next_number(self) -> int:
        return 1 + max((release.number for release in self.releases), default=0)

    @property
    def live(self) -> Release | None:
        """The last good release: the newest that is recorded as live."""
        live = [release for release in self.releases if release.state is State.LIVE]
        return live[-1] if live else None

    @property
    def staging(self) -> Release | None:
        """The release that is on its way, if any."""
        staging = [release for release in self.releases if release.state is State.STAGING]
        return staging[-1] if staging else None

    @property
    def last_good_before(self) -> Release | None:
        """What a rollback repeats: the newest that was good and is another than the live one."""
        live = self.live
        good = [r for r in self.releases if r.verified_at is not None]
        if live is not None:
            good = [r for r in good if r.plan.identity != live.plan.identity]
        return good[-1] if good else None

    @property
    def on_watch(self) -> Release | None:
        """The release that is watched on some of the traffic, if any."""
        staging = self.staging
        return staging if staging is not None and staging.watched_since is not None else None

    def find(self, number: int) -> Release | None:
        return next((r for r in self.releases if r.number == number), None)

    def with_release(self, release: Release) -> History:
        """This history with `release` added, or replaced where its number is known."""
        others = tuple(r for r in self.releases if r.number != release.number)
        ordered = tuple(sorted((*others, release), key=lambda r: r.number))
        return replace(self, releases=ordered)


class Conflict(Exception):
    """Somebody else wrote the history since it was read."""


class ReleaseStore(Protocol):
    """Where a target keeps the history of its services: reads, and writes by compare-and-swap."""

    def read(self, service: str) -> tuple[History, str]:
        """The history and its version; an empty history and version `''` when there is none."""
        ...

    def write(self, history: History, version: str) -> str:
        """Store `history` if the stored version is still `version`; return the new version.

        Raises:
            Conflict: When it is not.
        """
        ...

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        ...


class Phase(StrEnum):
    """What the runtime shows of a release now."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """One release as the runtime shows it."""

    number: int
    phase: Phase
    share: int
    """Percent of new requests that every gateway replica has acknowledged to send here."""
    in_flight: int
    reason: str = ""
    replicas: int = 0
    """Those that answer."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The recorded history, and what the runtime shows. Releases not in `seen` are absent."""

    history: History
    seen: tuple[Seen, ...]

    def of(self, number: int) -> Seen:
        """What is seen of a release; an absent one gets a value that says so."""
        absent = Seen(number=number, phase=Phase.ABSENT, share=0, in_flight=0)
        return next((s for s in self.seen if s.number == number), absent)


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be: release `number` serves alone (None: nothing serves)."""

    number: int | None
    strategy: str = "rolling"
    drain_seconds: float = 300.0
    given_up: frozenset[int] = frozenset()
    """Live releases that would not start again in this run; they are not tried a second time."""
    shares: tuple[int, ...] = (10,)
    """With `canary`: percent of new requests that the release gets while it is watched, one after
    the other."""
    watch_seconds: float = 300.0
    """With `canary`: how long it is watched with each."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Make the release run beside the others, without traffic. Idempotent; waits until ready."""

    number: int


@dataclass(frozen=True, slots=True)
class Verify:
    """Ask the staged release for a real generation through the endpoint; record it as live, or as
    watched."""

    number: int
    watched: bool = False
    """Whether it is watched beside the last good one before it is recorded as live."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Send `share` percent of new requests to this release, and the rest to the one `beside`; ends
    when every gateway replica acknowledged."""

    number: int
    share: int = 100
    beside: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """Compare the release, which has `share` percent of new requests, with the one `beside` from
    one moment to another (Unix seconds); then record that, and after the last share that it is
    live; or that it has failed."""

    number: int
    beside: int
    share: int
    since: float
    until: float
    last: bool = True


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until the release has no request in flight, at most until `deadline` (Unix seconds)."""

    number: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the release off the runtime."""

    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing left to do: what is desired is so."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """What is desired cannot be reached; everything that it left behind has been removed.

    `serving` is the release that still holds the traffic, or None.
    """

    reason: str
    serving: int | None


Step = Stage | Verify | Shift | Watch | Drain | Remove | Done | Blocked

__all__ = [
    "Blocked", "Conflict", "Desired", "Done", "Drain", "History", "Observed", "Phase", "Release",
    "ReleaseStore", "Remove", "Seen", "Shift", "Stage", "State", "Step", "Verify", "Watch",
    "Watched",
]  # fmt: skip
