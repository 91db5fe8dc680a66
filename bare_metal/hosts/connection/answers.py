"""What is asked of a host and what comes back, whoever carries it: SSH, or a recorded tree.

Looking and changing are different types: who gets a `Reader` can run what looks, and nothing tells
it how to hand a program a text. A host that does not answer is a value, `Unreachable`, so that no
table of hosts can lose it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bare_metal.inventory import Placed


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to."""

    code: int | None
    """Its exit status; None when it did not come to an end in time, or the connection was lost."""
    out: str = ""
    err: str = ""
    began: float = field(default_factory=time.time)
    """When it was sent, in Unix seconds of this machine."""
    ended: float = field(default_factory=time.time)
    """When its answer was here."""


@dataclass(frozen=True, slots=True)
class Files:
    """What files hold, by path; those that are not there are left out."""

    texts: Mapping[str, str]
    unread: tuple[str, ...] = ()
    """Those that are there and could not be read."""
    failed: str = ""
    """Why nothing could be read at all; empty when it could."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A host that could not be asked. It says nothing about what runs there."""

    reason: str
    hint: str = ""


class HostGoneError(Exception):
    """A host cannot be reached, or went away while it was being asked."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class Reader(Protocol):
    """A host that is looked at."""

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        """Run a command that only looks.

        Raises:
            HostGoneError: When the host went away.
        """

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        """Read files by their paths, in which `*` stands for any name.

        Raises:
            HostGoneError: When the host went away.
        """


class Talk(Protocol):
    """A command that goes on, and is spoken with."""

    async def say(self, text: bytes) -> None:
        """Hand it some more.

        Raises:
            HostGoneError: When the host went away.
        """

    async def hear(self) -> str:
        """The next line that it prints, without its end; empty once it prints no more.

        Raises:
            HostGoneError: When the host went away.
        """

    async def ended(self) -> Ran:
        """What it came to, once it is handed no more: all that was not heard, and its errors.

        Raises:
            HostGoneError: When the host went away.
        """


class Writer(Reader, Protocol):
    """A host that is changed."""

    def talk(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Talk]:
        """Begin a command that goes on until the block is left, or the connection is lost: what it
        reads ends then. Entering it raises HostGoneError."""

    async def change(self, argv: Sequence[str], stdin: bytes | None, *, seconds: float) -> Ran:
        """Run a command that changes something, and hand it `stdin`.

        Raises:
            HostGoneError: When the host went away.
        """


class LookingConnector(Protocol):
    """What brings one to hosts to look at them."""

    def reading(self, host: Placed) -> AbstractAsyncContextManager[Reader]:
        """A connection to look; entering it raises HostGoneError."""


class Connector(LookingConnector, Protocol):
    """What brings one to hosts."""

    def writing(self, host: Placed) -> AbstractAsyncContextManager[Writer]:
        """A connection to change something; entering it raises HostGoneError."""
