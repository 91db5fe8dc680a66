"""The ends of files that others write: a training's last step, a log's last line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

TAIL = 4096
"""Bytes of the end of a file that are read for its last line."""


def last_progress(path: Path) -> dict[str, Any]:
    """The last whole line of a training's progress; empty when there is none."""
    for text in reversed(_last_lines(path)):
        try:
            found = json.loads(text)
        except ValueError:
            continue  # it is being written, or a kill fell into it
        if isinstance(found, dict):
            return found
    return {}


def last_line(log: Path) -> str:
    """The last line of a log that says something, cut to what a message can hold."""
    found = _last_lines(log)
    return found[-1].strip()[:300] if found else ""


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]
