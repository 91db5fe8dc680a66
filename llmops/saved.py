"""What a backup keeps of a target, as values: histories, policies, key records, and secrets.

Weights are not in it: a plan pins them by digest, and they are fetched again. Nothing here reads or
writes anything; `serving.backup` makes a file of these values, and `restoring` puts them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from llmops.policies import Shelf
from llmops.releases import History, Release, State, records

REPLACED = "replaced by a backup"


@dataclass(frozen=True, slots=True)
class Access:
    """What opens a service's door."""

    keys: str = ""
    """The records of its API keys as the target's own document: hashes, never a text; empty when
    there are none."""
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    """Texts that are secret, by name; kept only where they are sealed."""


@dataclass(frozen=True, slots=True)
class SavedService:
    """One service as a backup keeps it."""

    history: History
    access: Access = Access()

    @property
    def name(self) -> str:
        return self.history.service


@dataclass(frozen=True, slots=True)
class Saved:
    """A target's state at one moment, in Unix seconds."""

    created_at: float
    version: str
    """Of the llmops that made it."""
    target: str
    """Kind of the target: a plan is made for one, and is put back only into its like."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Which one it was: `context` and `namespace` of a cluster; empty for a machine."""
    services: tuple[SavedService, ...] = ()
    """Sorted by name."""
    policies: Shelf = field(default_factory=Shelf)
    """The target's policies, every version of them."""
    shared: Mapping[str, str] = field(repr=False, default_factory=dict)
    """Secret files of the whole target, base64 by name, such as a TLS key."""

    def only(self, names: Iterable[str]) -> Saved:
        """This with some of its services."""
        wanted = set(names)
        return replace(self, services=tuple(s for s in self.services if s.name in wanted))

    @property
    def secrets(self) -> int:
        """How many secrets it holds."""
        return len(self.shared) + sum(len(s.access.secrets) for s in self.services)


class Standing(StrEnum):
    """How what is recorded here stands to what was saved."""

    NEW = "new"
    """Nothing is recorded here."""
    KEPT = "kept"
    """What was saved is recorded here. There may be more since, and old ones may be forgotten."""
    DIFFERS = "differs"
    """Both tell of releases that the other does not know."""


def standing(here: History, saved: History) -> Standing:
    """How the history here stands to a saved one."""
    if not here.releases:
        return Standing.NEW
    pairs = [(here.find(release.number), release) for release in saved.releases]
    common = [(twin, release) for twin, release in pairs if twin is not None]
    # What a service keeps of its past may be bounded: then the oldest are forgotten, never the
    # newest.
    forgotten = all(r.number < here.next_number - 1 for twin, r in pairs if twin is None)
    same = all(_is_same(twin, release) for twin, release in common)
    return Standing.KEPT if same and forgotten and bool(common) else Standing.DIFFERS


def _is_same(one: Release, other: Release) -> bool:
    return (one.created_at, one.plan.identity) == (other.created_at, other.plan.identity)


def replaced(here: History, saved: History, now: float) -> History:
    """The saved history in the place of the one here.

    What was released here under numbers beyond the saved ones stays, as ended: a number that was
    given out once is not given out again.
    """
    beyond = tuple(r for r in here.releases if r.number >= saved.next_number)
    ended = records.end(History(here.service, beyond), now)
    history = saved
    for release in ended.releases:
        failed = release.state is State.FAILED
        reason = release.reason if failed and release.reason != "destroyed" else REPLACED
        history = history.with_release(replace(release, reason=reason))
    return history


def shelf_standing(here: Shelf, saved: Shelf) -> Standing:
    """How the policies here stand to saved ones; none saved are kept by any."""
    if not here.entries and saved.entries:
        return Standing.NEW
    known = {(entry.name, entry.version, entry.text) for entry in here.entries}
    told = {(entry.name, entry.version, entry.text) for entry in saved.entries}
    return Standing.KEPT if told <= known else Standing.DIFFERS


def shelf_replaced(here: Shelf, saved: Shelf, now: float, by: str) -> Shelf:
    """The shelf on which each saved policy that held then holds again, as a new version of it.

    A policy that was not saved stays: a restore takes no rule away.
    """
    if not here.entries:
        return saved
    for entry in saved.holding():
        here = here.applied(entry.name, entry.text, now, by)
    return here


__all__ = [
    "Access", "Saved", "SavedService", "Standing", "replaced", "shelf_replaced",
    "shelf_standing", "standing",
]  # fmt: skip
