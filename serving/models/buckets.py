"""A model under a prefix of an object store, through fsspec: `s3://bucket/prefix`, `gs://…`.

Credentials are found by fsspec's own implementations; none is read, shown or logged here, and
neither is the text of a store's error, which may quote a signed request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from llmops.events import Flow
from serving.models import contents, licences
from serving.models.contents import Description, Listing
from serving.models.download import Interrupted, Remote, download
from serving.models.manifest import Entry
from serving.models.source import Address

EXTRAS = {"s3": "s3", "gs": "gcs"}
"""The extra of llmops that brings a scheme's implementation."""

MARKS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")
"""What a store may say of an object's state: the first that it does is taken."""

CHUNK = 8 * 2**20
"""Bytes asked for at a time."""


class Bucket:
    """The wanted objects below one prefix, as they are listed now."""

    in_place = False
    converts = False

    def __init__(self, address: Address, system: Any = None) -> None:
        self.where = str(address)
        self._root = address.place.rstrip("/")
        self._system = system or _system(address)
        self._objects = self._list()
        if not self._objects:
            raise ModelError(f"{address} has no model: nothing is below it")

    def _list(self) -> dict[str, Mapping[str, Any]]:
        prefix = f"{self._root}/"
        with _explained(self.where):
            # fsspec remembers listings, and shares one file system in a process.
            self._system.invalidate_cache()
            listed = self._system.find(self._root, detail=True)
        paths = ((path.lstrip("/"), entry) for path, entry in listed.items())
        return {path.removeprefix(prefix): e for path, e in paths if path.startswith(prefix)}

    @cached_property
    def revision(self) -> str:
        """A digest of the objects' names, sizes and marks of state."""
        return self._digest(self._objects)

    def _digest(self, objects: Mapping[str, Mapping[str, Any]]) -> str:
        lines = []
        for name in contents.select(self.where, objects):
            entry = objects[name]
            mark = next((str(entry[key]) for key in MARKS if entry.get(key)), "")
            lines.append(f"{name} {entry['size']} {mark}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def directory(self) -> Path:
        raise ModelError(f"{self.where} is not in place")

    @property
    def licence(self) -> str:
        if licences.CARD not in self._objects:
            return ""
        with _explained(self.where):
            found: bytes = self._system.cat_file(
                f"{self._root}/{licences.CARD}", start=0, end=licences.MOST_CARD
            )
            return licences.of_card(found)

    # The prefix as a listing

    @property
    def names(self) -> Iterable[str]:
        return list(self._objects)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        chosen = contents.select(self.where, self._objects)
        return {name: int(self._objects[name]["size"]) for name in chosen}

    def read(self, name: str, offset: int, length: int) -> bytes:
        if length <= 0:
            return b""
        end = min(offset + length, self.sizes[name])
        with _explained(self.where):
            found: bytes = self._system.cat_file(f"{self._root}/{name}", start=offset, end=end)
            return found

    # The prefix as a place

    @property
    def listing(self) -> Listing:
        return self

    def describe(self) -> Description:
        return contents.describe(self)

    @cached_property
    def _wanted(self) -> Mapping[str, int]:
        return contents.to_fetch(self)

    def fetch_bytes(self) -> int:
        return sum(self._wanted.values())

    def fetch(self, files: Path) -> Flow[None]:
        remotes = [Remote(name, size, self._reader(name)) for name, size in self._wanted.items()]
        yield from download(remotes, files, self.where)
        # Parts of an object were read one after another: all of them must be of the same state.
        if self._digest(self._list()) != self.revision:
            raise ModelError(
                f"{self.where} was changed while it was fetched",
                hint="deploy again: what is there now is then fetched",
            )

    def _reader(self, name: str) -> Any:
        def blocks(offset: int) -> Iterator[bytes]:
            while offset < self.sizes[name]:
                block = self.read(name, offset, CHUNK)
                if not block:
                    return
                yield block
                offset += len(block)

        return blocks

    def damaged(self, found: Mapping[str, Entry], files: Path) -> list[str]:  # noqa: ARG002 - a Place's signature
        sizes = {name: entry.size for name, entry in found.items()}
        return sorted(dict(sizes.items() ^ self._wanted.items()))


class _explained:  # noqa: N801 - reads as a statement: `with _explained(...)`
    """Turn a store's errors into ours. Each implementation has a library's errors of its own."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise ModelError(
                f"{self._where} does not exist", hint="check the bucket and the prefix"
            ) from error
        if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
            raise ModelError(
                f"{self._where} may not be read with the credentials that were found",
                hint="log in to the store; its own tools must be able to list the prefix",
            ) from error
        if isinstance(error, Exception) and not isinstance(error, ModelError):
            raise Interrupted(
                f"{self._where} could not be read ({type(error).__name__})",
                hint="check the network and the store's address; deploying again goes on where"
                " this ended",
            ) from error


def _system(address: Address) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(address.scheme)
    except (ImportError, ValueError) as error:
        extra = EXTRAS[address.scheme]
        raise ModelError(
            f"{address.scheme}:// needs a package that is not installed",
            hint=f"pip install 'llmops[{extra}]'",
        ) from error
