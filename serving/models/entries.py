"""The cache's own files: where a model's entry is, who writes it, and how it appears.

    ROOT/<readable name>-<digest>/<revision>/          an entry: complete, or not there
                                     files/            the model (none for a directory in place)
                                     llmops-manifest.json
                                     model.json        source, revision, where the model lies
                        <revision>.part/               what a running or killed command has so far
                        <revision>.lock                held by the command that writes the entry

An entry appears by one rename. Only who holds its lock touches its part.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from llmops.units import Bytes
from serving.models import manifest
from serving.models.source import Address

RECORD = "model.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What `model.json` says."""

    source: str
    revision: str
    directory: Path
    licence: str = ""
    """As it said when it was had; empty in records that are older than this field."""


class Entry:
    """The place of one model at one revision in the cache. Making one touches nothing."""

    def __init__(self, root: Path, address: Address, revision: str) -> None:
        if not re.fullmatch(r"[0-9a-f]{40,64}", revision):
            raise ModelError(f"{revision[:80]!r} is not the revision of a model that was looked up")
        readable = "".join(c if c.isalnum() or c in "-._" else "-" for c in str(address))[-60:]
        digest = hashlib.sha256(str(address).encode()).hexdigest()[:12]
        self._address, self._revision = address, revision
        self.family = root / f"{readable.strip('-.')}-{digest}"
        self.path = self.family / revision[:40]
        self.part = self.path.with_suffix(".part")

    @property
    def files(self) -> Path:
        """Where a model that is copied lies."""
        return self.path / "files"

    @property
    def manifest(self) -> Path:
        return self.path / manifest.NAME

    @property
    def removal(self) -> str:
        """The command that takes the entry out of the cache."""
        return f"rm -r {shlex.quote(str(self.path))}"

    def record(self) -> Record | None:
        """What is had; None when it is not, or its record is damaged: it is then had anew."""
        found = read_record(self.path)
        matches = found and (found.source, found.revision) == (str(self._address), self._revision)
        return found if matches else None

    def acquire(self) -> Flow[FileLock]:
        """Take the entry's lock; tells that it waits, and for what. Release it when done."""
        self.family.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(self.path.with_suffix(".lock"), mode=0o600, thread_local=False)
        began = time.monotonic()
        while True:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                here = Bytes(size_of(self.part)).human()
                reason = f"another llmops is getting {self._address} ({here} so far)"
                yield Progress("model", reason, time.monotonic() - began)
                time.sleep(0.2)
            else:
                return lock

    def begin(self) -> Path:
        """Make the part, or find what a killed command left in it; returns where files go."""
        files = self.part / "files"
        for directory in (self.part, files):
            directory.mkdir(mode=0o700, exist_ok=True)
        return files

    def remove_stale_parts(self) -> None:
        """Remove what killed commands left of other revisions: nobody goes on with those."""
        for part in self.family.glob("*.part"):
            if part == self.part:
                continue
            lock = FileLock(part.with_suffix(".lock"), mode=0o600)
            try:
                with lock.acquire(blocking=False):
                    shutil.rmtree(part, ignore_errors=True)
            except Timeout:
                continue

    def publish(self, directory: Path, licence: str = "") -> None:
        """Let the part appear as the entry of a model in `directory`."""
        record = {
            "source": str(self._address),
            "revision": self._revision,
            "directory": str(directory),
            "licence": licence,
        }
        manifest.write_text(self.part / RECORD, json.dumps(record, indent=1))
        if self.path.exists():
            shutil.rmtree(self.path)
        self.part.rename(self.path)


def read_record(entry: Path) -> Record | None:
    """The record in a directory; None when there is none that can be read."""
    try:
        document = json.loads((entry / RECORD).read_bytes())
        source, revision = document["source"], document["revision"]
        licence = str(document.get("licence", ""))
        return Record(source, revision, Path(document["directory"]), licence)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def records(root: Path) -> Iterator[Record]:
    """All models that are had."""
    for path in sorted(root.glob(f"*/*/{RECORD}")):
        found = None if path.parent.suffix == ".part" else read_record(path.parent)
        if found is not None:
            yield found


def size_of(directory: Path) -> int:
    """Bytes of the files below a directory, as far as they are there; others may be at work."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
