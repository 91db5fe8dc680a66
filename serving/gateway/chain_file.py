"""The files of one chain of audit lines: written by whoever holds the lock, private, bounded.

A file that is full is turned over as a whole (`audit.jsonl.1` is the next older one), and the chain
goes on in the new one. How far it has come stands in `audit.anchor.json` beside it, written after
each line. Each write looks there first, so that a gateway that takes over from another goes on
where that one ended. What cannot be written, because the disk is full or read-only, is counted in
the next line that can be: it fails neither a request nor a gateway's start, and once there is room
lines are written again. Nothing here mends a chain: what was cut away leaves a gap.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from llmops.exhausted import exhausted
from serving.gateway.chain import ANCHOR_BYTES, NOTE, Anchor, Link, Older, forge, read_link

log = logging.getLogger("llmops.audit")

FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT

TAIL = 2**16
"""Bytes at a file's end that hold its last line."""


class ChainFile:
    """Writes one chain.

    Args:
        path: The newest file.
        most_bytes: Size at which a file is turned over.
        backups: How many older files are kept.
    """

    def __init__(self, path: Path, *, most_bytes: int, backups: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._backups = backups
        self._lost = 0
        self._note = ""
        self._anchored = b""
        self._lock = self._file = -1
        self.anchor = Anchor()
        """How far the chain has come."""
        self.lost = 0
        """Lines that could not be written since the start."""
        try:
            self._open()
        except OSError as error:
            if exhausted(error) is None:
                raise  # such as a link: nothing is written through that
            self._tell(error)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Append a line; or count it, where nothing can be written."""
        before = self._lost
        try:
            if self._lock < 0:
                self._open()
            with self._locked():
                self._catch_up()
                self._append(fields)
        except OSError as error:
            if not self._lost:
                self._tell(error)
            self._lost += 1
            self.lost += 1
        else:
            if before:
                log.warning("%s is written again; %d lines were lost", self._path, before)

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._file = -1

    def _tell(self, error: OSError) -> None:
        log.warning("audit lines are lost: %s cannot be written: %s", self._path, error.strerror)

    def _open(self) -> None:
        """Open the files, and find how far the chain has come."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock = private_open(anchor_path(self._path), os.O_RDWR | os.O_CREAT)
            self._file = private_open(self._path, FLAGS)
            with self._locked():
                self.anchor = self._resume()
        except OSError:
            self.close()
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _append(self, fields: Mapping[str, Any]) -> None:
        noted = {"lost": self._lost or None, NOTE: self._note or None}
        extra = {name: value for name, value in noted.items() if value is not None}
        line, anchor = forge({**fields, **extra}, self.anchor)
        size = os.fstat(self._file).st_size
        if size and size + len(line) >= self._most_bytes:
            self._turn_over()
            size, anchor = 0, replace(anchor, first=self.anchor.first)
        try:
            _write_whole(self._file, line + b"\n")
            self._write_anchor(anchor)
        except OSError:
            # Half a line would be taken for an edited one, and one without its anchor for put in.
            os.ftruncate(self._file, size)
            raise
        self.anchor, self._lost, self._note = anchor, 0, ""

    def _turn_over(self) -> None:
        for number in range(self._backups - 1, 0, -1):
            older = backup_path(self._path, number)
            if older.exists():
                older.replace(backup_path(self._path, number + 1))
        self._path.replace(backup_path(self._path, 1))
        kept = self._first_kept(self.anchor.seq + 1)
        self.anchor = Anchor(self.anchor.seq, self.anchor.hash, kept)
        self._reopen()  # last: there may be no inode for it, and it is tried again then

    def _catch_up(self) -> None:
        """Go on after another gateway's lines. An anchor that went back, or files that went away,
        are nobody's doing here: the chain goes on as it was, so that the gap is seen."""
        if not self._is_there():
            self._reopen()
        if os.pread(self._lock, ANCHOR_BYTES, 0) == self._anchored:
            return
        anchor = read_anchor(self._lock)
        if anchor is not None and anchor.seq > self.anchor.seq:
            self.anchor = self._resume()
        elif anchor != self.anchor:
            self._note = "its anchor changed by somebody else"

    def _is_there(self) -> bool:
        """Whether the open file is still the one at its path."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        fresh = private_open(self._path, FLAGS)
        os.close(self._file)
        self._file = fresh

    def _resume(self) -> Anchor:
        """Where the chain goes on: after its last line, or where its anchor says, if that is
        further: then the gap shows that lines were cut away."""
        anchor, last = read_anchor(self._lock), self._last_link()
        if anchor is None:
            anchor = self._without_anchor(last)
        elif last is not None and last.seq > anchor.seq:
            if last.seq > anchor.seq + 1:
                self._note = f"lines {anchor.seq + 1} to {last.seq}, which the anchor did not know"
            anchor = Anchor(last.seq, last.hash, anchor.first)
        self._write_anchor(anchor)
        return anchor

    def _write_anchor(self, anchor: Anchor) -> None:
        content = anchor.dump()
        _whole(os.pwrite(self._lock, content, 0), content)
        self._anchored = content

    def _without_anchor(self, last: Link | None) -> Anchor:
        if last is None:
            return Anchor(0, self._older().digest(), 1)
        self._note = "no anchor beside it"
        return Anchor(last.seq, last.hash, self._first_kept(last.seq))

    def _last_link(self) -> Link | None:
        """The last whole line, if it is of the chain; what a crash left after it is cut off."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, TAIL, max(0, size - TAIL))
        whole = tail[: tail.rfind(b"\n") + 1]
        if whole or size <= TAIL:
            os.ftruncate(self._file, size - len(tail) + len(whole))
        lines = whole.splitlines()
        return read_link(lines[-1]) if lines else None

    def _older(self) -> Older:
        older = Older()
        with self._path.open("rb") as file:
            for line in lines_of(file):
                older.add(line)
        return older

    def _first_kept(self, otherwise: int) -> int:
        """Number of the first line that is still there, or `otherwise` without any."""
        for path in files_of(self._path, self._backups):
            with path.open("rb") as file:
                for line in lines_of(file):
                    if link := read_link(line):
                        return link.seq
        return otherwise


def anchor_path(path: Path) -> Path:
    """Where the anchor of a chain stands."""
    return path.with_suffix(".anchor.json")


def backup_path(path: Path, number: int) -> Path:
    """The file that was turned over `number` times."""
    return path.with_name(f"{path.name}.{number}")


def files_of(path: Path, backups: int) -> list[Path]:
    """The chain's files that are there, oldest first."""
    named = [*(backup_path(path, number) for number in range(backups, 0, -1)), path]
    return [file for file in named if file.exists()]


def read_anchor(descriptor: int) -> Anchor | None:
    """The anchor that an open file holds; None when it holds none."""
    try:
        return Anchor.parse(os.pread(descriptor, ANCHOR_BYTES, 0))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A chain as it was at one instant: its anchor, and its open files, oldest first."""

    anchor: Anchor | None
    files: tuple[tuple[str, BinaryIO, int], ...]
    """Name, file and size: what is written later is not looked at."""


@contextmanager
def snapshot(path: Path, backups: int) -> Iterator[Snapshot]:
    """Open a chain for reading; its writer waits only while the files are opened."""
    with ExitStack() as stack:
        with _reading(anchor_path(path)) as anchor:
            opened = [(f.name, stack.enter_context(f.open("rb"))) for f in files_of(path, backups)]
            files = tuple((name, file, os.fstat(file.fileno()).st_size) for name, file in opened)
        yield Snapshot(anchor, files)


@contextmanager
def _reading(path: Path) -> Iterator[Anchor | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield read_anchor(descriptor)
    finally:
        os.close(descriptor)


def lines_of(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """A file's lines without their ends, of its first `size` bytes."""
    left = size
    for line in file:
        if left is not None:
            if left <= 0:
                return
            left -= len(line)
        yield line.removesuffix(b"\n")


def private_open(path: Path, flags: int) -> int:
    """Open a file of the user's alone; a link is refused.

    Raises:
        OSError: When it cannot be opened so.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # it may be there already, made by somebody less careful
    return descriptor


def _write_whole(descriptor: int, content: bytes) -> None:
    _whole(os.write(descriptor, content), content)


def _whole(written: int, content: bytes) -> None:
    if written < len(content):
        raise OSError(errno.ENOSPC, f"only {written} of {len(content)} bytes could be written")
