"""What machines install: the wheel of the llmops that runs here, and its lock, as two files.

The same files are made for images of pods; a machine keeps only what has the digests that its
start-up names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from infra.startup import Packages

LOCK = "lock.txt"


@dataclass(frozen=True, slots=True)
class Files:
    """Two files, and what a machine is told of them."""

    wheel: Path
    lock: Path
    packages: Packages


def written(folder: Path, wheels: str = "") -> Files:
    """Write both below a folder, in one that is named after what is in them.

    Args:
        folder: Where: the files are read again while a stack is brought up.
        wheels: `s3://bucket/prefix` with the locked wheels; empty for pip's own index.

    Raises:
        InputError: When llmops is not installed, or not as it was.
    """
    from clusters.image import Flavour, Order, prepare

    ready = prepare(Order(Flavour.GPU))
    lock = ready.lock.text.encode()
    packages = Packages(
        wheel=ready.wheel.name,
        wheel_sha256=hashlib.sha256(ready.wheel.content).hexdigest(),
        lock_sha256=hashlib.sha256(lock).hexdigest(),
        folder=wheels.rstrip("/"),
    )
    inside = folder / packages.key
    inside.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = Files(inside / ready.wheel.name, inside / LOCK, packages)
    files.wheel.write_bytes(ready.wheel.content)
    files.lock.write_bytes(lock)
    return files
