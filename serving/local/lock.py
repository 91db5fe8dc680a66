"""One writer per service: a lock that the kernel frees when its holder dies, and that says who.

The lock is `flock` on a file that stays, so a dead holder's lock is free by construction, and a
file left behind means nothing. Who holds it, and since when, is written into the file.
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

from llmops.errors import BusyError


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
        """
        descriptor = os.open(self._root / f"{service}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"{service} is busy: {_holder(file)}",
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
    try:
        file.seek(0)
        holder = json.load(file)
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        ago = max(0, int(time.time() - holder["since"]))
        return (
            f"{holder['purpose']} by pid {holder['pid']} ({holder['user']}) since {since}"
            f" ({ago // 60} min {ago % 60} s)"
        )
    except (ValueError, KeyError, TypeError):
        return "another llmops command has just begun to change it"
