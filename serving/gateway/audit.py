"""One line per decision: who asked for what, and what was decided. No content and no key.

Callers without a valid key have a file of their own, `audit.unknown.jsonl` beside `audit.jsonl`.
Both are bounded by turning over, so in one file a stranger could wash away, by knocking often
enough, what the known callers did. Each is a chain of its own (see `chain`), so that a line that
was edited or taken out is found.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving.gateway.chain import Anchor, Report, Verifier
from serving.gateway.chain_file import ChainFile, Snapshot, lines_of, snapshot

MAX_BYTES = 32 * 2**20
BACKUPS = 4
CALLERS = KNOWN, UNKNOWN = "known", "unknown"
"""Whose lines a chain holds."""


class Audit:
    """Writes audit lines as JSON to two files; `None` writes nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._files = {
            kind: ChainFile(file, most_bytes=MAX_BYTES, backups=BACKUPS)
            for kind, file in (audit_files(path) if path else {}).items()
        }

    def write(self, **fields: Any) -> None:
        """Write one line; `time` is added, empty fields are left out."""
        line = {"time": round(time.time(), 3)} | {k: v for k, v in fields.items() if v is not None}
        if self._files:
            self._files[KNOWN if "key_id" in line else UNKNOWN].write(line)

    def anchors(self) -> dict[str, dict[str, Any]]:
        """How far each file's chain has come: whoever cuts the files cannot change this."""
        return {kind: asdict(file.anchor) for kind, file in self._files.items()}

    def lost(self) -> int:
        """Lines that could not be written since the start."""
        return sum(file.lost for file in self._files.values())

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def audit_files(path: Path) -> dict[str, Path]:
    """The newest file of known callers, at `path`, and that of unknown ones."""
    return {KNOWN: path, UNKNOWN: path.with_suffix(f".unknown{path.suffix}")}


def audit_snapshot(path: Path) -> AbstractContextManager[Snapshot]:
    """One chain as it is at this instant; its files are open until the end."""
    return snapshot(path, BACKUPS)


def verify_audit(path: Path, told: dict[str, Any] | None = None) -> dict[str, Report]:
    """Follow both chains through all their files.

    Args:
        path: The newest file of known callers.
        told: What the gateway that runs told of them (`Audit.anchors`), asked for before.
    """
    anchors = {kind: Anchor(**anchor) for kind, anchor in (told or {}).items()}
    return {kind: _verify(file, anchors.get(kind)) for kind, file in audit_files(path).items()}


def _verify(path: Path, told: Anchor | None) -> Report:
    with audit_snapshot(path) as now:
        verifier = Verifier(now.anchor, told)
        for name, file, size in now.files:
            verifier.follow(name, lines_of(file, size))
        return verifier.end(path.name)
