"""The wheel and the lock that a cluster file names, read. Refuses what is no wheel or no lock."""

from __future__ import annotations

from pathlib import Path

from bare_metal.hosts.operations.model import Payload
from bare_metal.inventory import Cluster
from llmops.errors import InputError

MOST_BYTES = 64 * 2**20
"""A wheel of llmops is about a MB."""


def payload_of(cluster: Cluster, folder: Path) -> Payload | None:
    """llmops as it is brought to hosts; None where the cluster file wants none.

    Raises:
        InputError: When a file cannot be read, or is not what it must be.
    """
    wanted = cluster.system.program
    if wanted is None:
        return None
    path = folder / wanted.wheel
    wheel, lock = _read(path), _read(folder / wanted.lock)
    if path.suffix != ".whl" or not wheel.startswith(b"PK"):
        raise InputError(
            f"{path}: expected a wheel, found something else",
            hint="build one in a checkout of llmops: python -m build --wheel",
        )
    if b"--hash=sha256:" not in lock and any(_requirement(line) for line in lock.splitlines()):
        raise InputError(
            f"{folder / wanted.lock}: expected requirements with hashes, found some without",
            hint="requirements/local.txt of llmops has them",
        )
    return Payload(path.name, wheel, lock)


def _requirement(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith((b"#", b"-"))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: expected at most {MOST_BYTES:,} bytes, found more")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
