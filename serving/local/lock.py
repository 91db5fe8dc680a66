"""One writer per service: a lock that the kernel frees when its holder dies, and that says who.

The lock is `flock` on a file that stays, so a dead holder's lock is free by construction, and a
file left behind means nothing. Who holds it, and since when, is written into the file; a holder is
named by its pid and the moment its process started, so that a pid given out again names nobody.
It is not re-entrant: a second taker in the same process is refused like any other.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from llmops.errors import BusyError
from serving.local.store import checked_name

SAME_START = 1.0
"""Seconds by which two readings of one process's start may differ (the boot time is rounded)."""

UNSIGNED = "changed by another llmops command, which has just begun"


class ServiceLock:
    """Locks in a directory of their own, one file per service."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def hold(self, service: str, purpose: str) -> Iterator[None]:
        """Be the only one that changes `service`, for as long as the block runs.

        Raises:
            BusyError: At once, naming the holder and since when.
            InputError: When `service` is no name of a service.
        """
        descriptor = os.open(
            self._root / f"{checked_name(service)}.lock", os.O_RDWR | os.O_CREAT, 0o600
        )
        with os.fdopen(descriptor, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"{service} is being {_holder(file)}",
                    hint="wait until it has ended; a holder that died frees the lock by itself",
                ) from error
            _sign(file, purpose)
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()


def _sign(file: IO[str], purpose: str) -> None:
    holder = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "user": _user(),
        "host": socket.gethostname(),
        "purpose": purpose,
        "since": time.time(),
    }
    file.seek(0)
    file.truncate()
    json.dump(holder, file)
    file.flush()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _holder(file: IO[str]) -> str:
    """Who holds the lock, and since when."""
    try:
        file.seek(0)
        holder = json.load(file)
        if not _runs(holder["pid"], holder["started"]):
            return UNSIGNED
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        minutes, seconds = divmod(max(0, int(time.time() - holder["since"])), 60)
        ago = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return (
            f"{holder['purpose']} by pid {holder['pid']} ({holder['user']}) since {since} ({ago})"
        )
    except (ValueError, KeyError, TypeError):
        return UNSIGNED


def _runs(pid: int, started: float) -> bool:
    """Whether the process that signed still runs; what a dead holder left may still be read."""
    try:
        return abs(psutil.Process(pid).create_time() - started) < SAME_START
    except psutil.Error:
        return False
