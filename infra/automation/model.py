"""The words of a stack: what is to change in it, what happens while it does, and what came of it.

Values only, and none of them Pulumi's: nothing here says how a stack is made, so that whoever
follows one needs no SDK. No value holds a secret: outputs that are marked as one are left out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

T = TypeVar("T")


class Operation(StrEnum):
    """What is done to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"
    READ = "read"
    OTHER = "other"
    """What a newer engine calls by a name that is not known here."""


@dataclass(frozen=True, slots=True)
class StackChange:
    """What an update would do to one resource, as the engine itself says."""

    urn: str
    kind: str
    """Its type token, such as `aws:ec2/instance:Instance`."""
    name: str
    operation: Operation
    keys: tuple[str, ...] = ()
    """Properties that differ; for a replacement those that force it."""


@dataclass(frozen=True, slots=True)
class ResourceEvent:
    """An operation on a resource begins, has ended, or has failed."""

    urn: str
    kind: str
    name: str
    operation: Operation
    state: Literal["began", "done", "failed"]
    elapsed: float = 0.0
    """Seconds since this operation began."""
    reason: str = ""
    """Why: the properties that differ; of a failure what the cloud said."""


@dataclass(frozen=True, slots=True)
class Told:
    """The engine says something that is no operation."""

    severity: str
    """`info`, `warning` or `error`."""
    text: str
    urn: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing new has come, and this is what is waited for."""

    elapsed: float
    """Seconds since the whole operation began."""
    resources: tuple[tuple[str, float], ...]
    """Name of each resource in work and its seconds; none before the engine has begun."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Events came that this version does not know; what they told is missing."""

    count: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The engine's own count at the end: resources by operation."""

    changes: Mapping[str, int]
    seconds: float
    corrupt: bool = False


StackEvent = ResourceEvent | Told | Waiting | Unread | Counted

StackFlow = Generator[StackEvent, None, T]
"""Yields events; returns a T."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a stack says of itself once it is up. Secret outputs are not here."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """An output as text; empty when there is none."""
        value = self.values.get(name)
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of a stack's history."""

    kind: str
    """`update`, `refresh`, `destroy` …"""
    result: str
    """`succeeded`, `failed`, `in-progress` …"""
    began: float
    """Unix seconds."""
    ended: float | None
    message: str
    changes: Mapping[str, int] = field(default_factory=dict)
    who: str = ""
    """Whom the backend names; empty where it names nobody."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation that was begun and never recorded as ended: its run was killed."""

    urn: str
    operation: str
    """`creating`, `updating`, `deleting`, `reading` or `importing`."""


@dataclass(frozen=True, slots=True)
class StackState:
    """What a stack's record holds: which resources, and what was left unfinished."""

    resources: Mapping[str, str]
    """The provider's id by URN; empty for a component."""
    pending: tuple[Pending, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Ids of everything that the stack holds."""
        return frozenset(value for value in self.resources.values() if value)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a stack's lock, as the backend says."""

    user: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}"


def short(urn: str) -> str:
    """The name at the end of a URN."""
    return urn.rsplit("::", 1)[-1]


__all__ = [
    "Counted", "Holder", "Operation", "Outputs", "Pending", "ResourceEvent",
    "StackChange", "StackEvent", "StackFlow", "StackState", "Told", "Unread", "Update", "Waiting",
    "short",
]  # fmt: skip
