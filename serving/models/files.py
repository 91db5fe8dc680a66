"""A model in a directory of this machine: used where it lies, trusted on first use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from llmops.errors import ModelError
from llmops.events import Flow
from serving.models import contents, licences
from serving.models.contents import Description, Listing
from serving.models.conversion import Gguf
from serving.models.manifest import Entry
from serving.models.places import Place


def local(path: Path) -> Place:
    """The place of a directory, or of a GGUF file.

    Raises:
        ModelError: When it is neither.
    """
    if path.is_dir():
        return Directory(path)
    if not path.exists():
        raise ModelError(f"{path} is missing: expected a directory with a model")
    if path.suffix != ".gguf":
        raise ModelError(f"{path} is neither a directory nor a GGUF file")
    return Gguf(path)


class Directory:
    """A directory with `config.json` and safetensors."""

    in_place = True
    converts = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = contents.files_of(directory)

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def revision(self) -> str:
        """A digest of the files' names, sizes, times and inodes: quick, and new when one changes.

        It tells one state of the directory from another; what guards the content is the manifest.
        """
        marks = []
        for name in self._files:
            found = (self._directory / name).stat()
            marks.append(f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ino}")
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()

    @property
    def licence(self) -> str:
        try:
            with (self._directory / licences.CARD).open("rb") as file:
                return licences.of_card(file.read(licences.MOST_CARD))
        except OSError:
            return ""

    @property
    def listing(self) -> Listing:
        return contents.Local(self._directory)

    def describe(self) -> Description:
        return contents.describe(contents.Local(self._directory))

    def fetch_bytes(self) -> int:
        return 0

    def fetch(self, files: Path) -> Flow[None]:
        raise ModelError(f"{self._directory} is used where it lies, not copied to {files}")

    def damaged(self, found: Mapping[str, Entry], files: Path) -> list[str]:  # noqa: ARG002 - a Place's signature
        return []
