"""What the flow tells while it works: typed events, drawn by whoever listens.

A wait is always explained: each Progress names its phase, why it waits, how long it has, and how
long it may.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from llmops.planning import Plan
from llmops.policies import Finding, Setting
from llmops.releases import Release

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a wait. `elapsed` and `deadline` are seconds since the phase began."""

    phase: str
    """A short name: `model`, `runtime`, `stage`, `verify`, `shift`, `watch`, `drain`, `remove`,
    `window`."""
    reason: str
    """What is being waited for now, for a person."""
    elapsed: float = 0.0
    deadline: float | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan was made; `changed` says whether applying it makes a new release."""

    plan: Plan
    live: Release | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The target's policies were asked about a plan."""

    settings: tuple[Setting, ...]
    """What they set where the spec says nothing."""
    findings: tuple[Finding, ...]
    """What they say of it; those that block refuse it."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What applying a plan would do to one object of the target, as the target itself says."""

    name: str
    """Kind and name, such as `Service/chat`."""
    action: str
    """`create`, `update`, `replace`, `delete` or `unchanged`."""
    fields: tuple[tuple[str, object, object], ...] = ()
    """What would change: a path, the value now, and the value then (None: there is none)."""


@dataclass(frozen=True, slots=True)
class Previewed:
    """What applying the plan would change in the target; nothing has been changed."""

    changes: tuple[ObjectChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What has to be said of them, such as that something that serves would be replaced."""
    price: tuple[float, float] | None = None
    """US dollars an hour of the machines now and then; None where the target has no price."""


@dataclass(frozen=True, slots=True)
class ResourceProgress:
    """Something that the target is made of begins to change, has changed, or has failed to."""

    name: str
    kind: str
    """What it is, in the words of whoever makes it."""
    operation: str
    """`create`, `update`, `replace`, `delete` …"""
    state: str
    """`began`, `done` or `failed`."""
    elapsed: float = 0.0
    """Seconds since it began."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something to know that stays on the screen; the flow goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class StepBegun:
    """The reconciler begins a step, such as `stage release 3`."""

    text: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The step is done; `seconds` it took."""

    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KeyMade:
    """A declared API key was missing and was made. The only place that ever holds its text."""

    service: str
    name: str
    key: str

    def __repr__(self) -> str:
        return f"KeyMade({self.service!r}, {self.name!r}, key=…)"


@dataclass(frozen=True, slots=True)
class Finished:
    """The deployment is as desired. `release` is the one that serves; None after destroy."""

    release: Release | None
    changed: bool
    url: str


Event = (
    Progress | Planned | Reviewed | Previewed | ResourceProgress | Warned | StepBegun | StepEnded
    | KeyMade | Finished
)  # fmt: skip

Flow = Generator[Event, None, T]
"""Yields events; returns a T."""

__all__ = [
    "Event", "Finished", "Flow", "KeyMade", "ObjectChange", "Planned", "Previewed", "Progress",
    "ResourceProgress", "Reviewed", "StepBegun", "StepEnded", "Warned",
]  # fmt: skip
