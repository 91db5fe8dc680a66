"""Where a model can lie, behind one protocol: a hub, a directory, a package, a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from llmops.errors import InputError
from llmops.events import Flow
from serving.models.headers import Weights
from serving.models.source import Address

Description = tuple[dict[str, Any], Weights, bool]
"""A parsed `config.json`, what the weights hold, and whether there is a chat template."""


class Place(Protocol):
    """One model at one revision."""

    @property
    def revision(self) -> str:
        """What pins it."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether it is used where it lies, and not copied."""
        ...

    @property
    def converts(self) -> bool:
        """Whether `fetch` makes the files from a GGUF file."""
        ...

    @property
    def directory(self) -> Path:
        """Where it lies, when it is used in place."""
        ...

    def describe(self, had: Path | None) -> Description:
        """Read config and headers; from `had`, the model's files here, when they are here."""
        ...

    def fetch_bytes(self) -> int:
        """Bytes of disk that `fetch` will take."""
        ...

    def fetch(self, files: Path) -> Flow[None]:
        """Put the model's files into `files`; goes on where an earlier try ended."""
        ...


def open_place(address: Address, revision: str | None, *, offline: bool) -> Place:
    """The place of an address; for a hub, its revision resolved to a commit.

    Raises:
        ModelError: When there is no such model or revision.
    """
    if address.scheme == "hf":
        from serving.models.hub import Hub

        return Hub(address.place, revision, offline=offline)
    if address.scheme == "file":
        from serving.models.files import Directory

        return Directory(Path(address.place))
    if address.scheme == "pkg":
        from serving.models.packages import packaged

        return packaged(address.place)
    if address.scheme in ("s3", "gs"):
        from serving.models.buckets import Bucket

        return Bucket(address)
    raise InputError(f"no place for {address}")
