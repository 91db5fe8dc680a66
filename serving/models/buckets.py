"""A model under a prefix of an object store, through fsspec: `s3://bucket/prefix`, `gs://…`.

Credentials are found by fsspec's own implementations; none is read, shown or logged here.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from serving.models import headers
from serving.models.files import read_directory
from serving.models.manifest import WANTED
from serving.models.places import Description
from serving.models.source import Address

EXTRAS = {"s3": "s3", "gs": "gcs"}
"""The extra of llmops that brings a scheme's implementation."""

CHUNK = 8 * 2**20


class Bucket:
    """The wanted objects below one prefix, as they are listed now."""

    in_place = False
    converts = False

    def __init__(self, address: Address, system: Any = None) -> None:
        self._address = address
        self._system = system or _system(address)
        try:
            listed = self._system.find(address.place, detail=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"{address} cannot be listed: {error}") from error
        prefix = address.place.rstrip("/") + "/"
        self._objects = {
            path.removeprefix(prefix): entry
            for path, entry in ((p.lstrip("/"), e) for p, e in listed.items())
            if path.endswith(WANTED)
        }
        if not self._objects:
            raise ModelError(f"{address} has no model: nothing is below it")

    @property
    def revision(self) -> str:
        """A digest of the objects' names, sizes and entity tags."""
        marks = [
            f"{name} {entry['size']} {entry.get('ETag') or entry.get('etag') or ''}"
            for name, entry in sorted(self._objects.items())
        ]
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()

    @property
    def directory(self) -> Path:
        raise ModelError(f"{self._address} is not in place")

    def _path(self, name: str) -> str:
        return f"{self._address.place.rstrip('/')}/{name}"

    def describe(self, had: Path | None) -> Description:
        if had is not None:
            return read_directory(had)
        if "config.json" not in self._objects:
            raise ModelError(f"{self._address} has no config.json")
        shards = [n for n in sorted(self._objects) if n.endswith(".safetensors")]
        if not shards:
            from serving.models.store import no_safetensors

            raise no_safetensors(str(self._address), list(self._objects))
        config = json.loads(self._system.cat_file(self._path("config.json")))
        weights = headers.total(
            headers.parse(name, self._reader(name), int(self._objects[name]["size"]))
            for name in shards
        )
        return config, weights, "chat_template.jinja" in self._objects

    def _reader(self, name: str) -> Any:
        path = self._path(name)
        return lambda offset, length: self._system.cat_file(path, start=offset, end=offset + length)

    def fetch_bytes(self) -> int:
        return sum(int(entry["size"]) for entry in self._objects.values())

    def fetch(self, files: Path) -> Flow[None]:
        total, done = self.fetch_bytes(), 0
        began = time.monotonic()
        for name, entry in sorted(self._objects.items()):
            target = files / name
            target.parent.mkdir(parents=True, exist_ok=True)
            size = int(entry["size"])
            here = target.stat().st_size if target.exists() else 0
            with target.open("ab") as file:
                while here < size:
                    end = min(here + CHUNK, size)
                    file.write(self._system.cat_file(self._path(name), start=here, end=end))
                    here = end
                    percent = 100.0 * (done + here) / total
                    reason = f"fetching {name} from {self._address}"
                    yield Progress("model", reason, time.monotonic() - began, None, percent)
            done += size


def _system(address: Address) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(address.scheme)
    except (ImportError, ValueError) as error:
        extra = EXTRAS[address.scheme]
        raise ModelError(
            f"{address.scheme}:// needs a package that is not installed",
            hint=f"pip install 'llmops[{extra}]'",
        ) from error
