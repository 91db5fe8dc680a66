"""A file that is replaced by compare-and-swap, and keeps the version before it beside it.

After a crash at any instant it is the old one or the new one. Two writers that read the same
version do not both win.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from filelock import FileLock

from llmops.releases import Conflict

BACKUP = ".json.before"
"""Ending of the version before."""

LOCK_SECONDS = 30.0
"""Longest wait for another writer of the same file; a write takes milliseconds."""


def content(file: Path) -> bytes | None:
    """What the file holds; None when there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def version(held: bytes | None) -> str:
    """A file's version: another one whenever it holds something else; `''` when there is none."""
    return "" if held is None else hashlib.sha256(held).hexdigest()


def swap(file: Path, new: bytes, expected: str, what: str) -> str:
    """Put `new` in the file if its version is still `expected`; returns the new version.

    Args:
        file: The file; its folder is there.
        new: What it is to hold.
        expected: The version that the writer has read.
        what: What the file is, for the conflict.

    Raises:
        Conflict: When another has written it since.
    """
    with FileLock(file.with_suffix(".lock"), mode=0o600, timeout=LOCK_SECONDS):
        before = content(file)
        if version(before) != expected:
            raise Conflict(f"{what} was written by somebody else")
        if before is not None:
            _replace(file.with_suffix(BACKUP), before)
        _replace(file, new)
    return version(new)


def _replace(file: Path, new: bytes) -> None:
    """Put `new` in place of the file: after a crash at any instant, it is the old or the new.

    The folder is written through too, or a power cut could forget the rename.
    """
    temporary = file.with_suffix(file.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(new)
        output.flush()
        os.fsync(output.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
