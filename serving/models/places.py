"""Where a model can lie, behind one protocol: a hub, a directory, a package, a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from llmops.errors import InputError
from llmops.events import Flow
from serving.models.contents import Description, Listing
from serving.models.manifest import Entry
from serving.models.source import Address


class Place(Protocol):
    """One model at one revision."""

    @property
    def revision(self) -> str:
        """What pins it: a commit, or a digest of its files' marks; lower-case hex."""
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

    @property
    def licence(self) -> str:
        """Under what it says that it is given; empty when nothing tells."""
        ...

    @property
    def listing(self) -> Listing | None:
        """Its files by name, to be read in pieces where they lie; None when `fetch` makes them."""
        ...

    def describe(self) -> Description:
        """Read config and headers where they lie; fetches no weights."""
        ...

    def fetch_bytes(self) -> int:
        """Bytes of disk that the whole model will take."""
        ...

    def fetch(self, files: Path) -> Flow[None]:
        """Put the model's files into `files`; goes on where an earlier try ended.

        Raises:
            ModelError: When it cannot be had from there.
            OSError: When it cannot be written here.
        """
        ...

    def damaged(self, found: Mapping[str, Entry], files: Path) -> list[str]:
        """Names of files that are not what the place says they are, as far as it says."""
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
        from serving.models.files import local

        return local(Path(address.place))
    if address.scheme == "pkg":
        from serving.models.packages import packaged

        return packaged(address.place)
    if address.scheme in ("s3", "gs"):
        from serving.models.buckets import Bucket

        return Bucket(address)
    raise InputError(f"no place for {address}")
