"""Audit lines of one service, as they are and as they come."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from serving.gateway import audit_snapshot

POLL = 0.2
"""Seconds between looks at a file that is followed."""


def lines(
    path: Path, service: str, *, follow: bool, pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Lines of known callers that are about the service, from the oldest that is kept.

    Args:
        path: The newest file.
        service: Whose lines.
        follow: Whether to wait for more, for ever; also when a file is turned over.
        pause: What waits.
    """
    with audit_snapshot(path) as now:
        for _, file, _ in now.files:
            yield from _of(service, file)
        newest = now.files[-1][1] if now.files else None
        while follow:
            pause(POLL)
            if newest is not None:
                yield from _of(service, newest)
            fresh = _turned_over(path, newest)
            if fresh is not None:
                if newest is not None:
                    yield from _of(service, newest)  # what came just before it was turned over
                    newest.close()
                newest = fresh
                yield from _of(service, newest)


def _turned_over(path: Path, newest: BinaryIO | None) -> BinaryIO | None:
    """The file that is at `path` now, where it is another than the one that is open."""
    try:
        fresh = path.open("rb")
    except FileNotFoundError:
        return None
    if newest is not None and os.path.sameopenfile(fresh.fileno(), newest.fileno()):
        fresh.close()
        return None
    return fresh


def _of(service: str, file: BinaryIO) -> Iterator[str]:
    """The service's lines from where the file was read to; half a line is left for later."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        text = line.decode(errors="replace").rstrip("\n")
        if _service(text) == service:
            yield text


def _service(line: str) -> object:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document.get("service") if isinstance(document, dict) else None
