"""The models of this machine: described, had, and checked before each load.

A model is published into the cache by one rename, with its manifest, so a reader sees all of it or
nothing; what a killed run leaves is a directory ending in `.part`, which the next run goes on with
or removes. A directory in place (`file://`) is not copied: its manifest is kept here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from llmops.events import Flow
from llmops.planning import ModelFacts, known_architectures
from llmops.units import Bytes
from serving.models import contents, entries, manifest, tokenizers
from serving.models.entries import Entry
from serving.models.places import Place, open_place
from serving.models.source import Address, is_commit, parse

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Cached:
    """A model in the cache."""

    source: str
    revision: str
    directory: Path
    bytes: int


class Models:
    """The cache below `root`, private to the user."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = root.stat()
        except OSError as error:
            raise ModelError(
                f"the model cache {root} cannot be made: {error.strerror}",
                hint="set LLMOPS_HOME to a directory of your own",
            ) from error
        if found.st_uid not in (0, os.getuid()) or stat.S_IMODE(found.st_mode) & 0o077:
            raise ModelError(
                f"the model cache {root} can be used by others",
                hint=f"chmod 700 {shlex.quote(str(root))}",
            )

    def describe(self, source: str, revision: str | None, *, offline: bool = False) -> ModelFacts:
        """What is known of a model, from its config and headers; loads nothing.

        A commit that is here is not asked for again: it cannot change.

        Raises:
            ModelError: When it cannot be found or read, or must not be used.
        """
        address = parse(source)
        with _disk(self._root, address):
            here = is_commit(revision) and self._had(address, str(revision)) is not None
            place = open_place(address, revision, offline=offline or here)
            had = self._had(address, place.revision)
            config, weights, template = self._description(address, place)
            _refuse_remote_code(source, config)
            return ModelFacts(
                source=source,
                revision=place.revision,
                config=config,
                parameters=weights.parameters,
                weight_bytes=weights.bytes,
                dtypes=weights.dtypes,
                download_bytes=0 if had or place.in_place else place.fetch_bytes(),
                chat_template=template,
                converted=place.converts,
                tensors=() if _known(config) else weights.tensors,
                licence=_licence(place, had),
            )

    def ensure(self, source: str, revision: str) -> Flow[Path]:
        """Have the model: fetch or convert it unless it is there; returns its directory.

        Raises:
            ModelError: When it cannot be had, or is no longer what was looked up; nothing half is
                left where a model is looked for.
        """
        address = parse(source)
        entry = Entry(self._root, address, revision)
        if (had := entry.record()) is not None:
            return had.directory
        with _disk(self._root, address):
            lock = yield from entry.acquire()
            try:
                if (had := entry.record()) is not None:
                    return had.directory
                return (yield from self._have(address, entry, revision))
            except OSError as error:
                if error.errno in FULL:
                    shutil.rmtree(entry.part, ignore_errors=True)
                raise
            finally:
                lock.release()

    def path(self, source: str, revision: str) -> Path:
        """Directory of a model that is had.

        Raises:
            ModelError: When it is not.
        """
        had = Entry(self._root, parse(source), revision).record()
        if had is None:
            raise ModelError(
                f"{source} at {revision[:12]} is not on this machine",
                hint="deploy again: it is then had anew",
            )
        return had.directory

    def tokenizer(self, source: str, revision: str) -> Flow[Path]:
        """A directory with the model's tokenizer, whose weights may be elsewhere.

        Raises:
            ModelError: When it cannot be had, or is no longer what was looked up.
        """
        address = parse(source)
        if (had := self._had(address, revision)) is not None:
            return had.directory
        with _disk(self._root, address):
            place = open_place(address, revision, offline=False)
            _refuse_another(address, revision, place.revision)
            if place.in_place:
                return place.directory
            if place.listing is None:  # its tokenizer is made together with the weights
                return (yield from self.ensure(source, revision))
            family = Entry(self._root, address, revision).family.name
            return tokenizers.fetch(place.listing, tokenizers.folder(self._root, family, revision))

    def verified(self, source: str, revision: str) -> Path:
        """Directory of a model, checked against its manifest: call this before each load.

        Raises:
            ModelError: When a file is missing, new or changed.
        """
        directory = self.path(source, revision)
        entry = Entry(self._root, parse(source), revision)
        hint = f"{entry.removal}, and deploy again: its files are then had anew"
        if directory != entry.files:
            hint = f"restore the files; or {entry.removal}, and deploy again to trust them as now"
        expected = manifest.read(entry.manifest, hint=hint)
        manifest.check(directory, expected, hint=hint)
        return directory

    def digests(self, source: str, revision: str) -> dict[str, str]:
        """SHA-256 by name of a model's config and weights; empty when it is not here yet."""
        entry = Entry(self._root, parse(source), revision)
        if entry.record() is None:
            return {}
        hint = f"{entry.removal}, and deploy again"
        return {
            name: found.sha256
            for name, found in manifest.read(entry.manifest, hint=hint).items()
            if name.endswith(contents.WEIGHTS) or name == contents.CONFIG
        }

    def cached(self) -> Iterator[Cached]:
        """The models that are had."""
        for found in entries.records(self._root):
            size = entries.size_of(found.directory)
            yield Cached(found.source, found.revision, found.directory, size)

    def _had(self, address: Address, revision: str) -> entries.Record | None:
        return Entry(self._root, address, revision).record()

    def _description(self, address: Address, place: Place) -> contents.Description:
        """From the copy that is here, when one is."""
        entry = Entry(self._root, address, place.revision)
        had = entry.record()
        if had is None or place.in_place:
            return place.describe()
        try:
            return contents.describe(contents.Local(had.directory))
        except ModelError as error:
            hint = f"{entry.removal}, and deploy again: its files are then had anew"
            raise ModelError(error.message, hint=hint) from error

    def _have(self, address: Address, entry: Entry, revision: str) -> Flow[Path]:
        place = open_place(address, revision, offline=False)
        _refuse_another(address, revision, place.revision)
        entry.remove_stale_parts()
        if place.in_place:
            found = yield from _digested(place.directory)
            # What was looked at last must still be what was looked up first.
            _refuse_another(address, revision, place.revision)
            return _trust(entry, place.directory, found)
        return (yield from self._fetch(address, entry, place))

    def _fetch(self, address: Address, entry: Entry, place: Place) -> Flow[Path]:
        self._room_for(place.fetch_bytes() - entries.size_of(entry.part))
        files = entry.begin()
        yield from place.fetch(files)
        found = yield from manifest.make(files)
        if damaged := place.damaged(found, files):
            _remove(files, damaged)
            raise ModelError(
                f"{address} has arrived damaged: {', '.join(damaged[:3])}",
                hint="deploy again: only what was damaged is fetched again",
            )
        try:
            contents.check(contents.Local(files))
        except ModelError:
            # It has arrived whole, and is of no use: nobody goes on with it.
            shutil.rmtree(entry.part, ignore_errors=True)
            raise
        manifest.write(entry.part / manifest.NAME, found)
        entry.publish(entry.files, place.licence)
        return entry.files

    def _room_for(self, size: int) -> None:
        free = shutil.disk_usage(self._root).free
        if size > free:
            raise ModelError(
                f"the model needs {Bytes(size).human()} more of disk, and"
                f" {Bytes(free).human()} are free at {self._root}",
                hint="free some space, or move LLMOPS_HOME",
            )


def _known(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in known_architectures()


def _licence(place: Place, had: entries.Record | None) -> str:
    """What is said where it lies, else what was said when it was had; of a GGUF file the record at
    once, since its revision is the digest of all that it says."""
    recorded = had.licence if had and not place.in_place else ""
    if place.converts and recorded:
        return recorded
    return place.licence or recorded


def _digested(directory: Path) -> Flow[dict[str, manifest.Entry]]:
    """The manifest of a directory in place that would load."""
    contents.check(contents.Local(directory))
    return (yield from manifest.make(directory))


def _trust(entry: Entry, directory: Path, found: Mapping[str, manifest.Entry]) -> Path:
    """Record a directory in place as it is now: what it is later compared with."""
    entry.begin()
    manifest.write(entry.part / manifest.NAME, found)
    entry.publish(directory)
    return directory


def _remove(files: Path, names: list[str]) -> None:
    for name in names:
        (files / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _disk(root: Path, address: Address) -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ModelError(
                f"the disk is full: {root}", hint="free some space, or move LLMOPS_HOME"
            ) from error
        where = f": {error.filename}" if error.filename else ""
        raise ModelError(f"{address} could not be had: {error.strerror or error}{where}") from error


def _refuse_another(address: Address, revision: str, found: str) -> None:
    if found != revision:
        raise ModelError(
            f"{address} has changed since it was looked up: it is at {found[:12]}, and the plan"
            f" is for {revision[:12]}",
            hint="deploy again: the plan is then made for what is there now",
        )


def _refuse_remote_code(source: str, config: Mapping[str, Any]) -> None:
    if "auto_map" in config:
        raise ModelError(
            f"{source} brings code of its own (auto_map in config.json), and trust_remote_code is"
            " off",
            hint="some engines have such a model built in and do not need its code: then take"
            " auto_map out of config.json in a copy, and serve that by file://",
        )
