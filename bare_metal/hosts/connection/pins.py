"""The hosts' own keys, pinned: OpenSSH's known_hosts format, one line for each host.

A key is written at first contact, after somebody saw its fingerprint. A host that shows another key
later is refused, and its line is replaced only where that host is named for it. Pure, but for
reading and writing the file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InputError

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key."""

    line: str
    """Type and key, as known_hosts has them."""
    fingerprint: str
    """`SHA256:…`, as `ssh-keygen -l` prints it."""


def called(address: str, port: int) -> str:
    """What known_hosts calls a host."""
    return address if port == SSH_PORT else f"[{address}]:{port}"


def pinned(path: Path) -> dict[str, frozenset[str]]:
    """Keys, each with its type, by host; of a file that may not be there yet.

    Lines with markers or hashed names are asyncssh's to read, and none of ours.

    Raises:
        InputError: When it cannot be read.
    """
    found: dict[str, frozenset[str]] = {}
    for line in _lines(path):
        for host in _hosts(line):
            found[host] = found.get(host, frozenset()) | {" ".join(line.split()[1:3])}
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of hosts' keys") from error


def _hosts(line: str) -> list[str]:
    """Hosts that a line is about; none of a comment or a line with a marker."""
    words = line.split()
    plain = len(words) >= 3 and not line.startswith(("#", "@", "|"))
    return words[0].split(",") if plain else []


def pin(path: Path, keys: Mapping[str, str]) -> None:
    """Write keys by host into the file, whole or not at all; lines about other hosts stay.

    Raises:
        InputError: When it cannot be written.
    """
    lines = [line for line in _lines(path) if not set(_hosts(line)) & set(keys)]
    lines += [f"{host} {key}" for host, key in sorted(keys.items())]
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True) if temporary else None
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
