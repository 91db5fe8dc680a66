"""What a row is between the file it came from and the tokens it becomes.

A row is a tuple of parts, whatever its format, so that a step which mends or hides text needs to
know no format. Nothing here reads or writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Side = Literal["train", "eval"]

TEXT = "text"
"""The role of a text all of which is learnt."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text with a role."""

    role: str
    """`system`, `user`, `assistant`, `tool`, or `text`."""
    text: str
    answer: Literal["", "chosen", "rejected"] = ""
    """Which of two answers it is part of, in a preference pair; empty when of both."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as read from a line."""

    source: str
    """`file:line`; of Parquet, `file:row`, counted from 1."""
    format: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All that it says, without the system message, which many rows share word for word."""
        return "\n".join(part.text for part in self.parts if part.role != "system")

    @property
    def key(self) -> bytes:
        """16 bytes that rows of the same text share, case and runs of spaces aside."""
        said = "\x1e".join(
            f"{part.role}\x1f{part.answer}\x1f{normal(part.text)}" for part in self.parts
        )
        return hashlib.blake2b(said.encode(), digest_size=16).digest()

    def changed(self, change: Callable[[str], str]) -> Row:
        """The same row with each text changed; itself when nothing changes."""
        parts = tuple(replace(part, text=change(part.text)) for part in self.parts)
        return self if parts == self.parts else replace(self, parts=parts)


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that is not what its format asks for. The reason quotes nothing of what it says."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def normal(text: str) -> str:
    """A text without what does not tell texts apart: case, and how many spaces."""
    return " ".join(text.casefold().split())
