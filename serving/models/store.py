"""The models of this machine: described, had, and checked before each load.

A model is published into the cache by one rename, with its manifest, so a reader sees all of it or
nothing; what a killed run leaves is a directory ending in `.part`, which the next run goes on with
or removes. A directory in place (`file://`) is not copied: its manifest is kept here.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from llmops.planning import ModelFacts
from serving.models import headers, manifest
from serving.models.places import Place, open_place
from serving.models.source import Address, parse

CONFIG = "config.json"


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
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = root.stat()
        if found.st_uid not in (0, os.getuid()) or stat.S_IMODE(found.st_mode) & 0o077:
            raise ModelError(
                f"the model cache {root} can be used by others", hint=f"chmod 700 {root}"
            )

    def describe(self, source: str, revision: str | None, *, offline: bool = False) -> ModelFacts:
        """What is known of a model, from its config and headers; loads nothing.

        Raises:
            ModelError: When it cannot be found or read, or must not be used.
        """
        place = open_place(parse(source), revision, offline=offline)
        had = self._find(source, place.revision)
        config, weights, template = place.describe(had.directory if had else None)
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
        )

    def ensure(self, source: str, revision: str) -> Flow[Path]:
        """Have the model: fetch or convert it unless it is there; returns its directory.

        Raises:
            ModelError: When it cannot be had; nothing half is left where a model is looked for.
        """
        address = parse(source)
        if (had := self._find(source, revision)) is not None:
            return had.directory
        with FileLock(self._entry(address, revision).with_suffix(".lock"), mode=0o600):
            if (had := self._find(source, revision)) is not None:
                return had.directory
            place = open_place(address, revision, offline=False)
            if place.in_place:
                return self._trust(address, place)
            return (yield from self._fetch(address, place))

    def path(self, source: str, revision: str) -> Path:
        """Directory of a model that is had.

        Raises:
            ModelError: When it is not.
        """
        had = self._find(source, revision)
        if had is None:
            raise ModelError(f"{source} at {revision[:12]} is not on this machine")
        return had.directory

    def verified(self, source: str, revision: str) -> Path:
        """Directory of a model, checked against its manifest: call this before each load.

        Raises:
            ModelError: When a file is missing, new or changed.
        """
        directory = self.path(source, revision)
        entry = self._entry(parse(source), revision)
        expected = manifest.read(entry / manifest.NAME)
        if expected is None:
            raise ModelError(f"{source} has no manifest", hint=f"remove {entry}")
        manifest.check(directory, expected)
        return directory

    def cached(self) -> Iterator[Cached]:
        """The models that are had."""
        for record in sorted(self._root.glob("*/*/model.json")):
            document = json.loads(record.read_text())
            directory = Path(document["directory"])
            size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
            yield Cached(document["source"], document["revision"], directory, size)

    def _entry(self, address: Address, revision: str) -> Path:
        """Directory of a model in the cache: a readable name and a digest of the exact address."""
        readable = "".join(c if c.isalnum() or c in "-._" else "-" for c in str(address))[-60:]
        digest = hashlib.sha256(str(address).encode()).hexdigest()[:12]
        family = self._root / f"{readable.strip('-.')}-{digest}"
        family.mkdir(exist_ok=True, mode=0o700)
        return family / revision[:40]

    def _find(self, source: str, revision: str) -> Cached | None:
        entry = self._entry(parse(source), revision)
        try:
            document = json.loads((entry / "model.json").read_text())
        except FileNotFoundError:
            return None
        return Cached(source, revision, Path(document["directory"]), 0)

    def _publish(self, part: Path, entry: Path, address: Address, revision: str, at: Path) -> None:
        record = {"source": str(address), "revision": revision, "directory": str(at)}
        (part / "model.json").write_text(json.dumps(record, indent=1))
        if entry.exists():
            shutil.rmtree(entry)
        part.rename(entry)

    def _trust(self, address: Address, place: Place) -> Path:
        """Record a directory in place as it is now: what it is later compared with."""
        directory = place.directory
        found = manifest.make(directory)
        _check_weights(directory)
        entry = self._entry(address, place.revision)
        part = entry.with_suffix(".part")
        part.mkdir(exist_ok=True, mode=0o700)
        manifest.write(part / manifest.NAME, found)
        self._publish(part, entry, address, place.revision, directory)
        return directory

    def _fetch(self, address: Address, place: Place) -> Flow[Path]:
        entry = self._entry(address, place.revision)
        part = entry.with_suffix(".part")
        files = part / "files"
        files.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._room_for(place.fetch_bytes())
        try:
            yield from place.fetch(files)
            yield Progress("model", "checking what was fetched", 0.0)
            _check_weights(files)
            manifest.write(part / manifest.NAME, manifest.make(files))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                shutil.rmtree(part, ignore_errors=True)
                raise ModelError(
                    f"the disk is full: {self._root}", hint="free some space, or move LLMOPS_HOME"
                ) from error
            raise ModelError(f"{address} could not be had: {error}") from error
        self._publish(part, entry, address, place.revision, entry / "files")
        return entry / "files"

    def _room_for(self, size: int) -> None:
        free = shutil.disk_usage(self._root).free
        if size > free:
            raise ModelError(
                f"the model needs {size} bytes of disk and {free} are free on {self._root}",
                hint="free some space, or move LLMOPS_HOME",
            )


def _check_weights(directory: Path) -> None:
    """Refuse a directory that has no safetensors, or not all of them.

    Raises:
        ModelError: Naming what is missing or damaged.
    """
    shards = sorted(directory.glob("*.safetensors"))
    index = directory / "model.safetensors.index.json"
    if index.exists():
        needed = set(json.loads(index.read_text())["weight_map"].values())
        if missing := needed - {shard.name for shard in shards}:
            raise ModelError(f"{min(missing)} is missing: the index names it")
    if not shards:
        raise no_safetensors(str(directory), [p.name for p in directory.iterdir()])
    headers.total(headers.parse_file(shard) for shard in shards)


def no_safetensors(where: str, names: list[str]) -> ModelError:
    """The refusal of a place without safetensors; names the pickles that it has instead."""
    pickles = [name for name in names if name.endswith(manifest.PICKLES)]
    found = f"; it has {pickles[0]}, which can run code when it is opened" if pickles else ""
    return ModelError(
        f"{where} has no safetensors{found}",
        hint="only safetensors are loaded: convert the weights, or choose a repository with them",
    )


def _refuse_remote_code(source: str, config: dict[str, Any]) -> None:
    if "auto_map" in config:
        raise ModelError(
            f"{source} needs its own code to run (auto_map), and trust_remote_code is off",
            hint="use a model whose architecture the engine has built in",
        )
