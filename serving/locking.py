"""One writer per service or run: a lock that the kernel frees when its holder dies, and says who.

The lock is `flock` on a file that stays, so a dead holder's lock is free by construction, and a
file left behind means nothing. Who holds it, and since when, is written into the file; a holder is
named by its pid and the moment its process started, so that a pid given out again names nobody.
It is not re-entrant: a second taker in the same process is refused like any other. A taken lock can
be handed to a process that is started with its descriptor, without a moment in which it is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from llmops.errors import BusyError, InputError

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
        with self.take(service, purpose) as file:
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()

    def take(self, service: str, purpose: str) -> IO[str]:
        """The locked file, signed: it is locked while any process has it open.

        Raises:
            BusyError: At once, naming the holder and since when.
            InputError: When `service` is no name of a service.
        """
        path = self._root / f"{checked_name(service)}.lock"
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with file:
                raise BusyError(
                    f"{service} is being {_holder(file)}",
                    hint="wait until it has ended; a holder that died frees the lock by itself",
                ) from error
        sign(file, purpose)
        return file


def sign(file: IO[str], purpose: str) -> None:
    """Write into a file that is locked who holds it: this process, from now on."""
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
        if not still_runs(holder["pid"], holder["started"]):
            return UNSIGNED
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        minutes, seconds = divmod(max(0, int(time.time() - holder["since"])), 60)
        ago = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return (
            f"{holder['purpose']} by pid {holder['pid']} ({holder['user']} on {holder['host']})"
            f" since {since} ({ago})"
        )
    except (ValueError, KeyError, TypeError):
        return UNSIGNED


def still_runs(pid: int, started: float) -> bool:
    """Whether the process that signed still runs; what a dead holder left may still be read."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < SAME_START
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def checked_name(service: str) -> str:
    """The name, when it can be a part of a file's name: it may come from a command line.

    Raises:
        InputError: When it cannot.
    """
    from llmops.spec import DNS_LABEL  # what a process that is handed a lock does without

    if not re.fullmatch(DNS_LABEL, service):
        raise InputError(
            f"{service!r} is no name of a service",
            hint="lower-case letters, digits and hyphens, at most 40, a letter first",
        )
    return service
