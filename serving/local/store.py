"""The release store of this machine: one JSON file per service, written by compare-and-swap.

A write replaces the file by rename, after it has reached the disk, and keeps the version before it
beside it. A file that cannot be read is reported, with that copy as the way out; none is guessed.
"""

from __future__ import annotations

from pathlib import Path

from llmops.errors import LlmopsError
from llmops.releases import History, dumps, loads
from serving.local import swapping
from serving.local.swapping import BACKUP
from serving.locking import checked_name


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
        content = swapping.content(file)
        if content is None:
            return History(service), ""
        try:
            return loads(content.decode()), swapping.version(content)
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
        return swapping.swap(file, content, version, f"the record of {history.service}")

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        return tuple(sorted(path.stem for path in self._root.glob("*.json")))
