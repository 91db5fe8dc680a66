"""The folder of prepared data: it appears whole, by one rename, and is checked before it is used.

    FOLDER/<digest>/                train.parquet eval.parquet manifest.json report.md report.html
                                    examples/
           <digest>.part/           what a running or killed preparation has so far
           .lock                    held by the one that prepares

A killed preparation leaves its part; the next one takes it away and begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llmops.errors import BusyError, TargetError
from serving.finetune.data.writing import sha256_of

MANIFEST = "manifest.json"
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only one that prepares in this folder; what killed ones left is taken away.

    Raises:
        BusyError: When another one does.
        TargetError: When the disk is full or may not be written.
    """
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(folder / ".lock", mode=0o600, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise BusyError(
                f"another llmops prepares data in {folder}",
                hint="wait until it has ended, or stop it",
            ) from error
        try:
            for part in folder.glob("*.part"):
                shutil.rmtree(part)
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turn the disk's errors into ours.

    Raises:
        TargetError: When it is full, or may not be written.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise _full(folder) from error
        raise TargetError(f"{folder} cannot be written: {error}") from error
    except OSError as error:
        if error.errno in FULL or "No space left" in str(error):
            raise _full(folder) from error
        raise TargetError(f"{folder} cannot be written: {error.strerror or error}") from error


def _full(folder: Path) -> TargetError:
    return TargetError(
        f"the disk is full: {folder}",
        hint="free some space, or move LLMOPS_HOME; then prepare again: nothing half is left",
    )


@contextlib.contextmanager
def appearing(folder: Path, digest: str) -> Iterator[Path]:
    """A place to write into, which appears as `FOLDER/<digest>` when the block ends well, and is
    gone when it does not."""
    part = folder / f"{digest}.part"
    part.mkdir(mode=0o700)
    try:
        yield part
        for path in part.rglob("*"):
            _settle(path)
        _settle(part)
        if (folder / digest).exists():
            shutil.rmtree(folder / digest)
        part.rename(folder / digest)
        _settle(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _settle(path: Path) -> None:
    """Let the disk have it, so that what appears is there after a loss of power too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a prepared folder that is as it was written; None when it is not, or not
    there: then it is prepared anew."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        for side in ("train", "eval"):
            if sha256_of(folder / f"{side}.parquet") != found[side]["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) and found.get("digest") == folder.name else None
