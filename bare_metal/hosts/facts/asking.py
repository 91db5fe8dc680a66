"""One fact: a command or files to read, and one pure parser for the answer.

A parser raises UnknownError for an answer that it cannot believe; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bare_metal.hosts.connection import Files, Ran

SECONDS = 60.0
"""How long a question may take: `nvidia-smi` alone takes half a minute where no daemon keeps the
driver loaded."""
ANCHOR = "/proc/version"
"""A file that every Linux has: where it was not read either, a missing file says nothing."""


class UnknownError(Exception):
    """An answer says nothing."""


@dataclass(frozen=True, slots=True)
class CommandFact:
    """A fact that a command tells."""

    name: str
    argv: tuple[str, ...]
    parse: Callable[[Ran], object]
    seconds: float = SECONDS

    @property
    def asks(self) -> str:
        """What is read, for people."""
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class FileFact:
    """A fact that files hold."""

    name: str
    patterns: tuple[str, ...]
    parse: Callable[[Files], object]
    seconds: float = SECONDS

    @property
    def asks(self) -> str:
        """What is read, for people."""
        return " ".join(self.patterns)


Fact = CommandFact | FileFact


def printed(ran: Ran, *codes: int) -> str:
    """What a command printed, if it ended well.

    Args:
        ran: What it came to.
        codes: Exit codes beside 0 that are no failure.
    """
    if ran.code is None or ran.code not in (0, *codes):
        said = ran.err.strip().splitlines() or ran.out.strip().splitlines() or [""]
        raise UnknownError(said[-1][:200] or f"it ended with {ran.code}")
    return ran.out


def text_of(files: Files, path: str) -> str:
    """A file that must be there."""
    if path in files.texts:
        return files.texts[path]
    why = "it could not be read" if path in files.unread else "it is not there"
    raise UnknownError(files.failed or f"{path}: {why}")


def anchored(files: Files) -> dict[str, str]:
    """Files of which there may be none, where it is known that files could be read at all."""
    text_of(files, ANCHOR)
    if files.unread:
        raise UnknownError(f"{files.unread[0]}: it could not be read")
    return {path: text for path, text in files.texts.items() if path != ANCHOR}


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text.strip(), 0)
    except ValueError as error:
        raise UnknownError(f"expected a number, found {text.strip()[:40]!r}") from error


def maybe(text: str) -> int | None:
    """A whole number, or None for what is none."""
    try:
        return int(text.strip(), 0)
    except ValueError:
        return None
