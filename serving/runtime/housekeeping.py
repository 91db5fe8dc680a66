"""What a host looks after while it runs: its logs stay bounded, and its shared memory is known.

A log that grows for months would fill the disk. Several processes hold each log open, and go on
writing to it wherever its name goes; so what it holds is copied aside and it is cut to nothing, as
`logrotate` does by `copytruncate`. A line that comes between the two is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from serving.runtime import launcher, segments
from serving.runtime.paths import RuntimePaths

EVERY = 30.0
"""Seconds between two looks."""

MOST = 64 * 2**20
"""Bytes at which a log is turned over; one older part of it is kept."""

log = logging.getLogger("llmops.host")


async def keep_house(paths: RuntimePaths, every: float = EVERY) -> None:
    """Look again and again, until it is cancelled. What cannot be done is tried the next time."""
    shared = _Shared()
    while True:
        for task in (_turn_over, shared.look):
            try:
                await asyncio.to_thread(task, paths)
            except OSError as error:
                log.warning("the house is not kept: %s", error)
        await asyncio.sleep(every)


def _turn_over(paths: RuntimePaths) -> None:
    turn_over((paths.home / "logs").rglob("*.log"))


class _Shared:
    """The runtime's shared memory: what killed replicas have left of it is removed."""

    def __init__(self) -> None:
        self._unused: set[Path] = set()

    def look(self, paths: RuntimePaths) -> None:
        """Look once. What nobody uses at two looks goes: at one it may be handed on just now."""
        note_shared(paths)
        unused = set(segments.orphans(segments.known(paths)))
        for path in unused & self._unused:
            path.unlink(missing_ok=True)
        self._unused = unused


def note_shared(paths: RuntimePaths) -> None:
    """Write down which segments of shared memory the runtime's processes hold now.

    Raises:
        OSError: When it cannot be written.
    """
    segments.note(paths, [process.pid for process in launcher.family(paths)])


def turn_over(logs: Iterable[Path], most: int = MOST) -> None:
    """Copy each log that is larger than `most` aside, and empty it.

    Raises:
        OSError: When one cannot be; the others that came before were.
    """
    for path in logs:
        with contextlib.suppress(FileNotFoundError):  # its release went meanwhile
            if path.is_symlink() or path.stat().st_size <= most:
                continue
            older = path.with_name(f"{path.name}.1")
            older.unlink(missing_ok=True)  # first: a full disk has room for the copy then
            descriptor = os.open(older, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with path.open("rb") as source, os.fdopen(descriptor, "wb") as target:
                shutil.copyfileobj(source, target)
            os.truncate(path, 0)
