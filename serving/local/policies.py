"""The policies of this machine: one private file, written by compare-and-swap.

A file that cannot be read is reported, with the version before it as the way out; none is guessed,
because a shelf that is taken for an empty one checks nothing.
"""

from __future__ import annotations

from pathlib import Path

from llmops.errors import LlmopsError
from llmops.policies import Shelf, dumps, loads
from serving.local import swapping
from serving.local.swapping import BACKUP

FILE = "policies.json"


class FilePolicyStore:
    """Implements `llmops.policies.PolicyStore` by a file (0600) in a folder that is there."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def read(self) -> tuple[Shelf, str]:
        """The shelf and its version; an empty one and `''` when there is none.

        Raises:
            LlmopsError: When the file is damaged.
        """
        content = swapping.content(self._file)
        if content is None:
            return Shelf(), ""
        try:
            return loads(content.decode()), swapping.version(content)
        except ValueError as error:
            backup = self._file.with_suffix(BACKUP)
            raise LlmopsError(
                f"the record of policies {self._file} is damaged",
                hint=f"the one before it is {backup}: look at both, and put one in place"
                if backup.exists()
                else f"there is none from before: move {self._file} away, and apply them again",
            ) from error

    def write(self, shelf: Shelf, version: str) -> str:
        """Store the shelf if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        return swapping.swap(self._file, dumps(shelf).encode(), version, "the record of policies")
