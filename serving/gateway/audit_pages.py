"""The audit files a piece at a time, for whoever reads them from another machine.

The bytes are handed out as they stand, because a chain's hashes are over these. Where to go on is
said by a digest of a file's first line and a place in that file, which stay true when files are
turned over. It refuses to go on in a file that was dropped meanwhile: what is missing is told,
never left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.gateway.audit import audit_files, audit_snapshot
from serving.gateway.chain import Anchor

PIECE = 2**20
"""Bytes of one piece, at most."""

FIRST_LINE = 2**16
"""Bytes of a first line that are looked at."""

ANCHOR, FILE, NEXT, ENDED = (
    f"x-llmops-audit-{name}" for name in ("anchor", "file", "next", "ended")
)
"""Headers of a piece: the chain's anchor, the file's name, where to go on, and whether it ends."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one file of a chain."""

    content: bytes
    file: str
    """Name of the file; empty where there is none yet."""
    next: str
    """Where to go on; empty for the beginning."""
    ended: bool
    """Whether nothing stood after it when it was read."""
    anchor: Anchor | None
    """How far the chain had come at that moment."""

    def headers(self) -> dict[str, str]:
        """All but the content."""
        anchor = self.anchor.dump().decode().strip() if self.anchor else ""
        return {ANCHOR: anchor, FILE: self.file, NEXT: self.next, ENDED: str(int(self.ended))}

    @classmethod
    def of(cls, headers: Mapping[str, str], content: bytes) -> Piece:
        """The piece that was handed over so; names of headers in lower case.

        Raises:
            ValueError: When it was none.
        """
        if not {ANCHOR, FILE, NEXT, ENDED} <= headers.keys():
            raise ValueError("it is no piece of an audit file")
        anchor = Anchor.parse(headers[ANCHOR].encode()) if headers[ANCHOR] else None
        return cls(content, headers[FILE], headers[NEXT], headers[ENDED] == "1", anchor)


def audit_piece(path: Path, kind: str, after: str) -> Piece:
    """The piece of a chain that follows.

    Args:
        path: The newest file of known callers.
        kind: Of callers, as `audit_files` has them.
        after: Where the piece before said to go on; empty for the oldest line that is kept.

    Raises:
        KeyError: When there is no such kind of callers.
        ValueError: When `after` is no such place.
        FileNotFoundError: When the file it is in was dropped meanwhile.
    """
    with audit_snapshot(audit_files(path)[kind]) as now:
        if not now.files:
            return Piece(b"", "", "", True, now.anchor)
        marks = [_mark(file) for _, file, _ in now.files]
        at, offset = _place(after, marks)
        while offset >= now.files[at][2] and at + 1 < len(marks):
            at, offset = at + 1, 0
        name, file, size = now.files[at]
        content = os.pread(file.fileno(), max(0, min(PIECE, size - offset)), offset)
        offset += len(content)
        ended = offset >= size and at + 1 == len(marks)
        # An empty file has no first line yet: it is looked for again from where it was come to.
        return Piece(content, name, f"{marks[at]}:{offset}" if size else after, ended, now.anchor)


def _mark(file: BinaryIO) -> str:
    """Tells a file from the others of its chain: no two of these have the same first line."""
    return hashlib.sha256(file.readline(FIRST_LINE)).hexdigest()[:16]


def _place(after: str, marks: list[str]) -> tuple[int, int]:
    """Which file, and where in it."""
    if not after:
        return 0, 0
    mark, _, offset = after.partition(":")
    if int(offset) < 0:
        raise ValueError("a place in a file is not negative")
    if mark not in marks:
        raise FileNotFoundError("that file was dropped, because newer ones took its place")
    return marks.index(mark), int(offset)
