"""One line per decision: who asked for what, and what was decided. No content and no key."""

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
        opener = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731
        return open(self.baseFilename, self.mode, encoding="utf-8", opener=opener)


class Audit:
    """Writes audit lines as JSON to a file; `None` writes nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._log = logging.Logger("llmops.audit", logging.INFO)  # noqa: LOG001 - one per app, none global
        self._log.propagate = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handler = _Private(path, maxBytes=MAX_BYTES, backupCount=BACKUPS)
            handler.setFormatter(logging.Formatter("%(message)s"))
            self._log.addHandler(handler)

    def write(self, **fields: Any) -> None:
        """Write one line; `time` is added, empty fields are left out."""
        line = {"time": round(time.time(), 3)} | {k: v for k, v in fields.items() if v is not None}
        self._log.info(json.dumps(line))
