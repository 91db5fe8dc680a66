"""The release store of this machine: one JSON file per service, written by compare-and-swap.

A write replaces the file by rename, after it has reached the disk, and keeps the version before it
beside it. A file that cannot be read is reported, with that copy as the way out; none is guessed.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from filelock import FileLock

from llmops.errors import InputError, LlmopsError
from llmops.releases import Conflict, History, dumps, loads
from llmops.spec import DNS_LABEL

BACKUP = ".json.before"

LOCK_SECONDS = 30.0
"""Longest wait for another writer of the same file; a write takes milliseconds."""


class FileReleaseStore:
    """Implements `llmops.releases.ReleaseStore` in a directory of its own (0700)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _file(self, service: str) -> Path:
        return self._root / f"{checked_name(service)}.json"

    def read(self, service: str) -> tuple[History, str]:
        """The history and its version; an empty one and `''` when there is none.

        Raises:
            InputError: When `service` is no name of a service.
            LlmopsError: When the file is damaged.
        """
        file = self._file(service)
        content = _content(file)
        if content is None:
            return History(service), ""
        try:
            return loads(content.decode()), _version(content)
        except ValueError as error:
            backup = file.with_suffix(BACKUP)
            raise LlmopsError(
                f"the release record {file} is damaged",
                hint=f"the record before it is {backup}: look at both, and put one in place"
                if backup.exists()
                else f"there is none from before: move {file} away, and deploy again",
            ) from error

    def write(self, history: History, version: str) -> str:
        """Store the history if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        file = self._file(history.service)
        content = dumps(history).encode()
        with FileLock(self._root / f"{history.service}.lock", mode=0o600, timeout=LOCK_SECONDS):
            before = _content(file)
            if _version(before) != version:
                raise Conflict(f"the record of {history.service} was written by somebody else")
            if before is not None:
                _replace(file.with_suffix(BACKUP), before)
            _replace(file, content)
        return _version(content)

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        return tuple(sorted(path.stem for path in self._root.glob("*.json")))


def checked_name(service: str) -> str:
    """The name, when it can be a part of a file's name: it may come from a command line.

    Raises:
        InputError: When it cannot.
    """
    if not re.fullmatch(DNS_LABEL, service):
        raise InputError(
            f"{service!r} is no name of a service",
            hint="lower-case letters, digits and hyphens, at most 40, a letter first",
        )
    return service


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _version(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _replace(file: Path, content: bytes) -> None:
    """Put `content` in place of the file: after a crash at any instant, it is the old or the new.

    The folder is written through too, or a power cut could forget the rename.
    """
    temporary = file.with_suffix(file.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
