"""The directory that an image is built in, which never stays.

It is removed when the build ends, however it ends. What kill -9 leaves is removed by the next
build: a directory is in use as long as somebody holds the lock on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "llmops-image-"
_YOUNG = 60.0
"""Seconds in which a directory may have been made and not yet locked."""


@contextlib.contextmanager
def workspace(parent: Path | None = None) -> Iterator[Path]:
    """A new private directory, below the system's place for such things unless told otherwise."""
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(parent)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def remove_abandoned(parent: Path) -> None:
    """Remove directories of builds that were killed: ours, not young, and locked by nobody."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _remove_if_abandoned(path, handle)
            finally:
                os.close(handle)


def _remove_if_abandoned(path: Path, handle: int) -> None:
    found = os.fstat(handle)
    if found.st_uid != os.getuid() or time.time() - found.st_mtime < _YOUNG:
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    shutil.rmtree(path, ignore_errors=True)
