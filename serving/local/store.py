"""The release store of this machine: one JSON file per service, written by compare-and-swap.

A write replaces the file by rename, after it has reached the disk, and keeps the version before it
beside it. A file that cannot be read is reported, with that copy as the way out; none is guessed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from filelock import FileLock

from llmops.errors import LlmopsError
from llmops.releases import Conflict, History, dumps, loads


class FileReleaseStore:
    """Implements `llmops.releases.ReleaseStore` in a directory of its own (0700)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _file(self, service: str) -> Path:
        return self._root / f"{service}.json"

    def read(self, service: str) -> tuple[History, str]:
        """The history and its version; an empty one and `''` when there is none.

        Raises:
            LlmopsError: When the file is damaged.
        """
        try:
            text = self._file(service).read_text()
        except FileNotFoundError:
            return History(service), ""
        try:
            return loads(text), _version(text)
        except ValueError as error:
            backup = self._file(service).with_suffix(".json.before")
            raise LlmopsError(
                f"the release record {self._file(service)} is damaged",
                hint=f"the record before it is {backup}: look at both, and put one in place",
            ) from error

    def write(self, history: History, version: str) -> str:
        """Store the history if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        file = self._file(history.service)
        text = dumps(history)
        with FileLock(self._root / f"{history.service}.lock", mode=0o600, timeout=30):
            before = file.read_text() if file.exists() else ""
            if (_version(before) if before else "") != version:
                raise Conflict(f"the record of {history.service} was written by somebody else")
            if before:
                _replace(file.with_suffix(".json.before"), before)
            _replace(file, text)
        return _version(text)

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        return tuple(sorted(path.stem for path in self._root.glob("*.json")))


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(file: Path, text: str) -> None:
    temporary = file.with_suffix(file.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    temporary.replace(file)
