"""The manifest of a model: SHA-256 and size of each file, checked before every load.

It is made when a model is first had (fetched, converted or, for a directory in place, trusted on
first use) and kept in the cache. A byte that changes afterwards is found before an engine reads it.
It guards against damage and mistakes; who can write the cache can write the manifest too, which is
why the cache is private.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from serving.models.contents import files_of

NAME = "llmops-manifest.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


def digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(directory: Path) -> Flow[dict[str, Entry]]:
    """The manifest of what is there now.

    Raises:
        ModelError: When a file leads out of the directory, or is none.
        OSError: When one cannot be read.
    """
    sizes = {name: (directory / name).stat().st_size for name in files_of(directory)}
    digests = yield from _digests(directory, sizes)
    return {name: Entry(size, digests[name]) for name, size in sizes.items()}


def check(directory: Path, manifest: Mapping[str, Entry], *, hint: str) -> None:
    """Compare the directory with its manifest.

    Raises:
        ModelError: Naming the first file that is missing, new or changed; with `hint`.
    """
    names = set(files_of(directory))
    if missing := manifest.keys() - names:
        raise ModelError(f"{directory / min(missing)} is missing", hint=hint)
    if extra := names - manifest.keys():
        raise ModelError(f"{directory / min(extra)} is not in the model's manifest", hint=hint)
    try:
        found = {name: (directory / name).stat().st_size for name in manifest}
        for name, size in found.items():
            if size != manifest[name].size:
                raise ModelError(
                    f"{directory / name} has {size} bytes, its manifest says {manifest[name].size}",
                    hint=hint,
                )
        digests = _all(_digests(directory, found))
    except OSError as error:
        raise ModelError(f"{directory} cannot be read: {error}", hint=hint) from error
    for name, entry in manifest.items():
        if digests[name] != entry.sha256:
            raise ModelError(
                f"{directory / name} is not what its manifest says: SHA-256 is {digests[name]},"
                f" expected {entry.sha256}",
                hint=hint,
            )


def write(path: Path, manifest: Mapping[str, Entry]) -> None:
    """Write a manifest by atomic replacement."""
    text = json.dumps({name: asdict(entry) for name, entry in manifest.items()}, indent=1)
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Replace a private file at once, and have it on the disk when this returns."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path, *, hint: str) -> dict[str, Entry]:
    """Read a manifest.

    Raises:
        ModelError: When there is none, or it is damaged; with `hint`.
    """
    try:
        document = json.loads(path.read_bytes())
        return {str(name): Entry(**entry) for name, entry in document.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise ModelError(f"{path} is {what}", hint=hint) from error


def _digests(directory: Path, sizes: Mapping[str, int]) -> Flow[dict[str, str]]:
    """SHA-256 of files, several at a time."""
    total, began = sum(sizes.values()), time.monotonic()
    pool = ThreadPoolExecutor(max_workers=4)
    try:
        jobs = {pool.submit(digest, directory / name): name for name in sizes}
        waiting: Iterable[Future[str]] = jobs
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for job in done:
                job.result()
            seen = sum(sizes[name] for job, name in jobs.items() if job.done())
            percent = 100.0 * seen / total if total else None
            elapsed = time.monotonic() - began
            yield Progress("model", "taking the files' digests", elapsed, None, percent)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return {name: job.result() for job, name in jobs.items()}


def _all(flow: Flow[dict[str, str]]) -> dict[str, str]:
    """Run a flow to its end, telling nobody."""
    while True:
        try:
            next(flow)
        except StopIteration as end:
            found: dict[str, str] = end.value
            return found


__all__ = [
    "Entry", "NAME", "check", "digest", "make", "read", "write", "write_text",
]  # fmt: skip
