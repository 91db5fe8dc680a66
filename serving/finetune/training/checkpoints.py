"""Checkpoints that are whole or not there, and known to be what was written.

Files are written into a folder aside, forced to the disk, listed with their digests, and only then
the folder is renamed, which the file system does at once. What a kill leaves behind is a folder
aside, which the next start removes. A folder that is not what its list says is put aside under
another name, never used and never deleted: somebody may want to know why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
WRITING = ".writing"
PREFIX = "step-"
PAUSE = "LLMOPS_CHECKPOINT_PAUSE"
"""Seconds to wait between files while a checkpoint is sealed, so that a test's kill falls there."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint."""

    step: int
    path: Path


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Theirs.
        keep: How many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    @property
    def aside(self) -> Path:
        """Where the next one is written."""
        return self._folder / WRITING

    def path(self, step: int) -> Path:
        return self._folder / f"{PREFIX}{step:08d}"

    def clear(self) -> None:
        """Remove what a kill left half-written."""
        shutil.rmtree(self.aside, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def seal(self, written: Path, step: int) -> Checkpoint:
        """Make what lies in `written` the checkpoint of a step, and let the oldest go."""
        target = self.path(step)
        if target.exists():
            shutil.rmtree(target)
        seal(written, target, {"step": step})
        for old in self._steps()[self._keep :]:
            shutil.rmtree(self.path(old), ignore_errors=True)
        return Checkpoint(step, target)

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest one that is whole; damaged ones are put aside and said aloud."""
        for step in self._steps():
            path = self.path(step)
            fault = damage(path)
            if not fault:
                return Checkpoint(step, path)
            away = path.with_name(f"damaged-{path.name}-{time.time_ns()}")
            path.rename(away)
            say(f"the checkpoint of step {step} is damaged ({fault}); it is kept as {away.name}")
        return None

    def _steps(self) -> list[int]:
        """Steps that have a folder, the newest first."""
        if not self._folder.is_dir():
            return []
        names = (path.name for path in self._folder.iterdir())
        found = (name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))
        return sorted((int(name) for name in found if name.isdigit()), reverse=True)


def seal(written: Path, target: Path, told: dict[str, object]) -> None:
    """Force a folder's files to the disk, list them with their digests, and rename it.

    Args:
        written: The folder; on the same file system as `target`.
        target: Its name from now on; must not exist.
        told: What else the list says.
    """
    pause = float(os.environ.get(PAUSE, "0"))
    files = {}
    for path in sorted(_files(written)):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[str(path.relative_to(written))] = {"sha256": digest, "bytes": path.stat().st_size}
        time.sleep(pause)
    manifest = written / MANIFEST
    with manifest.open("w") as file:
        json.dump({"format": 1, **told, "files": files}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for folder in (*_folders(written), written):
        _sync(folder)
    written.rename(target)
    _sync(target.parent)


def damage(folder: Path) -> str:
    """What is wrong with a sealed folder; empty when it is whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
        for name, told in files.items():
            path = folder / name
            if path.stat().st_size != told["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, not {told['bytes']}"
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != told["sha256"]:
                    return f"{name} has another digest"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_dir())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
