"""What keys have used, in a file (0600) of one gateway at a time.

Written whole and put in place, so that a reader or a crash sees the old or the new one. A file that
others could write is refused, for it says what a key may still use; one that cannot be read is
moved aside, and counting begins anew.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmops.errors import LlmopsError
from serving.gateway.limiter.book import Book
from serving.gateway.limiter.period import day_of, month_of

log = logging.getLogger("llmops.limits")

HANDED_OVER = 10.0
"""Seconds that a new gateway waits for the one before it to be gone."""
LOOKS = 0.05


class Saved:
    """The file of one book. From `open` on no other process writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1
        self._last: dict[str, Any] | None = None

    def open(self, book: Book, now: float) -> None:
        """Be the only one that writes the file, and count what it says was used.

        Raises:
            LlmopsError: When others can write the file, it cannot be opened, or another gateway
                does not let go of it.
        """
        self._lock = _locked(self._path.with_suffix(".lock"))
        text = self._content()
        try:
            found = json.loads(text) if text else {}
            book.merge(found, now)
        except ValueError:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            log.warning("%s held no counts: moved to %s, counting begins anew", self._path, aside)
        else:
            book.recorded(found)

    def close(self) -> None:
        """Let another process have the file."""
        os.close(self._lock)

    def write(self, record: dict[str, Any]) -> None:
        """Put a record in the file, unless it is what was written last; it is on the disk when
        this returns.

        Raises:
            OSError: When it is not. The file is whole all the same, and may be the old or the new.
        """
        if record == self._last:
            return
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)  # what a killed writer left
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        self._last = None  # until it is known what the file has
        new.replace(self._path)
        _flush(self._path.parent)
        self._last = record

    def _content(self) -> str:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise LlmopsError(
                f"{self._path} is not a file of counts: {error.strerror}",
                hint="it must be a plain file of your own, neither a link nor a directory",
            ) from error
        with os.fdopen(descriptor) as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise LlmopsError(f"{self._path} is open to others", hint=f"chmod 600 {self._path}")
            return file.read()


def counted(path: Path, account: str, now: float) -> tuple[int, int] | None:
    """What a file says that an account has used: tokens of the day that it is, and picodollars of
    the month; None where it says nothing of it, or is none."""
    try:
        found = json.loads(path.read_text())[account]
        day, month = found["day"], found["month"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (
        int(day[1]) if day[0] == day_of(now) else 0,
        int(month[1]) if month[0] == month_of(now) else 0,
    )


def _flush(folder: Path) -> None:
    """Have the disk know a file by its new name: a rename alone may not outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    """The lock's descriptor; the lock ends with its process, however that ends.

    Raises:
        LlmopsError: When another process has it and keeps it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise LlmopsError(
            f"what keys use cannot be counted: {path}: {error.strerror}",
            hint="the gateway starts once it can be written",
        ) from error
    if _patiently(lambda: _take(descriptor)):
        return descriptor
    os.close(descriptor)
    raise LlmopsError(
        f"another gateway counts in {path.with_suffix('.json')}",
        hint=f"see which process has {path} open",
    )


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _patiently(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + HANDED_OVER
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOKS)
    return True
