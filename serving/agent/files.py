"""The store as a folder (`file://`): one private file for each object, replaced by rename.

For one machine, or a file system that several mount and that honours locks and renames.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from llmops.releases import Conflict
from serving.agent.blobs import NEW, Blob, StoreUnreachable, checked

LOCK = ".lock"
PART = ".part"
LOCK_SECONDS = 30.0
"""Longest wait for another writer; a write takes milliseconds."""


class FileBlobs:
    """Implements `Blobs` below a folder of its own (0700)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with self._explained():
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(root / LOCK, mode=0o600, timeout=LOCK_SECONDS)

    @property
    def where(self) -> str:
        return f"file://{self._root}"

    def get(self, name: str) -> Blob | None:
        with self._explained():
            try:
                data = (self._root / checked(name)).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Blob(data, _version(data))

    def put(self, name: str, data: bytes, version: str) -> str:
        file = self._root / checked(name)
        with self._explained(), self._lock:
            before = self.get(name)
            if (before.version if before else NEW) != version:
                raise Conflict(f"{name} was written by somebody else")
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(file, data)
        return _version(data)

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        with self._explained():
            below = self._root / checked(prefix.rstrip("/"))
            files = [file for file in below.rglob("*") if file.is_file() and file.suffix != PART]
        found = sorted(file.relative_to(self._root).as_posix() for file in files)
        yield from (name for name in found if name > after)

    def remove(self, name: str) -> None:
        with self._explained(), self._lock:
            (self._root / checked(name)).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise StoreUnreachable(
                f"{self.where} may not be used by this user", hint="check the folder's owner"
            ) from error
        except (OSError, Timeout) as error:
            why = os.strerror(error.errno) if error.errno else "its lock is held"
            raise StoreUnreachable(
                f"{self.where} cannot be used: {why}", hint="check that it is mounted, and has room"
            ) from error


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _replace(file: Path, data: bytes) -> None:
    """Put the file in place whole: after a crash at any instant it is the old or the new one."""
    whole = file.with_name(file.name + PART)
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(data)
        output.flush()
        os.fsync(output.fileno())
    whole.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
