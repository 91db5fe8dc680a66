"""One line per decision: who asked for what, and what was decided. No content and no key.

Callers without a valid key have a file of their own, `audit.unknown.jsonl` beside `audit.jsonl`.
Both are bounded by turning over, so in one file a stranger could wash away, by knocking often
enough, what the known callers did.
"""

from __future__ import annotations

import json
import logging
import os
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

MAX_BYTES = 32 * 2**20
BACKUPS = 4


class _Private(RotatingFileHandler):
    """A rotating file that only its owner can read, from its first byte on."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding="utf-8", opener=_owner_only)


def _owner_only(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)  # it may be there already, made by somebody less careful
    return descriptor


class Audit:
    """Writes audit lines as JSON to two files; `None` writes nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._known, self._unknown = _log(path), _log(path and _beside(path))

    def write(self, **fields: Any) -> None:
        """Write one line; `time` is added, empty fields are left out."""
        line = {"time": round(time.time(), 3)} | {k: v for k, v in fields.items() if v is not None}
        log = self._known if "key_id" in line else self._unknown
        log.info(json.dumps(line))

    def close(self) -> None:
        """Close the files."""
        for handler in (*self._known.handlers, *self._unknown.handlers):
            handler.close()


def _beside(path: Path) -> Path:
    return path.with_suffix(f".unknown{path.suffix}")


def _log(path: Path | None) -> logging.Logger:
    log = logging.Logger("llmops.audit", logging.INFO)  # noqa: LOG001 - one per app, none global
    log.propagate = False
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = _Private(path, maxBytes=MAX_BYTES, backupCount=BACKUPS)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    return log
