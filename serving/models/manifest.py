"""The manifest of a model: SHA-256 and size of each file, checked before every load.

It is made when a model is first had (fetched, converted or, for a directory in place, trusted on
first use) and kept in the cache. A byte that changes afterwards is found before an engine reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from llmops.errors import ModelError

NAME = "llmops-manifest.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".joblib")
"""Endings of weight files that can run code when they are opened. Never fetched, never opened."""

WANTED = (".json", ".safetensors", ".model", ".txt", ".jinja")
"""Endings of the files that make a model."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


def files_of(directory: Path) -> list[Path]:
    """The model's files, relative to `directory`, sorted.

    Raises:
        ModelError: When one leads out of the directory.
    """
    found = []
    for path in sorted(directory.rglob("*")):
        if not path.name.endswith(WANTED) or path.name == NAME or path.is_dir():
            continue
        relative = path.relative_to(directory)
        if any(part.startswith(".") for part in relative.parts):
            continue
        found.append(relative)
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(directory: Path) -> dict[str, Entry]:
    """The manifest of what is there now."""
    files = files_of(directory)
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = list(pool.map(lambda name: digest(directory / name), files))
    return {
        str(name): Entry((directory / name).stat().st_size, sha256)
        for name, sha256 in zip(files, digests, strict=True)
    }


def identity(manifest: Mapping[str, Entry]) -> str:
    """One digest for the whole manifest: what pins a model that has no commit."""
    lines = [f"{name} {entry.size} {entry.sha256}" for name, entry in sorted(manifest.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check(directory: Path, manifest: Mapping[str, Entry]) -> None:
    """Compare the directory with its manifest.

    Raises:
        ModelError: Naming the first file that is missing, new or changed.
    """
    hint = "remove the model from the cache and deploy again: its files are then had anew"
    names = {str(name) for name in files_of(directory)}
    if missing := manifest.keys() - names:
        raise ModelError(f"{directory / min(missing)} is missing", hint=hint)
    if extra := names - manifest.keys():
        raise ModelError(f"{directory / min(extra)} is not in the model's manifest", hint=hint)
    for name, entry in manifest.items():
        size = (directory / name).stat().st_size
        if size != entry.size:
            raise ModelError(
                f"{directory / name} has {size} bytes, its manifest says {entry.size}", hint=hint
            )
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = pool.map(lambda name: digest(directory / name), manifest)
        for name, found in zip(manifest, digests, strict=True):
            if found != manifest[name].sha256:
                raise ModelError(
                    f"{directory / name} is not what its manifest says: SHA-256 is {found},"
                    f" expected {manifest[name].sha256}",
                    hint=hint,
                )


def write(path: Path, manifest: Mapping[str, Entry]) -> None:
    """Write a manifest by atomic replacement."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({name: asdict(entry) for name, entry in manifest.items()}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path) -> dict[str, Entry] | None:
    """Read a manifest; None when there is none."""
    try:
        document = json.loads(path.read_text())
        return {name: Entry(**entry) for name, entry in document.items()}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged", hint=f"remove {path.parent}") from error


__all__ = ["Entry", "NAME", "PICKLES", "check", "digest", "files_of", "identity", "make"]
