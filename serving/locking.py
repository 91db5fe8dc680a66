"""One writer per service or run: a lock that the kernel frees when its holder dies, and says who.

The lock is `flock` on a file that stays, so a dead holder's lock is free by construction, and a
file left behind means nothing. Who holds it, and since when, is written into the file; a holder is
named by its pid and the moment its process started, so that a pid given out again names nobody.
It is not re-entrant: a second taker in the same process is refused like any other. A taken lock can
be handed to a process that is started with its descriptor, without a moment in which it is free.
A holder that nobody waits for gives way: whoever wants the lock ends it. Every holder may be ended
at any instant, so what it was at is gone on with.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from llmops.errors import BusyError, InputError
from serving.holders import UNSIGNED, ago, user
from serving.lives import life, lives

SIGNED_WITHIN = 1.0
"""Seconds in which whoever has taken a lock will have signed it, unless it is a dead one's word
that is read, or the machine is very busy. So long is waited for a name to tell."""

ENDED_WITHIN = 5.0
"""Seconds in which a holder that gives way has ended."""


class ServiceLock:
    """Locks in a directory of their own, one file per service."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def hold(self, service: str, purpose: str, *, gives_way: bool = False) -> Iterator[None]:
        """Be the only one that changes `service`, for as long as the block runs; or, where it gives
        way, until another wants to: this process is then ended (SIGTERM).

        Raises:
            BusyError: At once, naming the holder and since when.
            InputError: When `service` is no name of a service.
        """
        with self.take(service, purpose, gives_way=gives_way) as file:
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()

    def left(self, service: str) -> bool:
        """Whether nobody holds the lock, as far as can be seen without touching it."""
        try:
            with (self._root / f"{checked_name(service)}.lock").open() as file:
                return _signed(file) is None
        except FileNotFoundError:
            return True

    def take(self, service: str, purpose: str, *, gives_way: bool = False) -> IO[str]:
        """The locked file, signed: it is locked while any process has it open.

        Raises:
            BusyError: At once, naming the holder and since when; one that has not signed yet is
                given a moment to.
            InputError: When `service` is no name of a service.
        """
        path = self._root / f"{checked_name(service)}.lock"
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            _lock(file, service)
            sign(file, purpose, gives_way=gives_way)
        except BaseException:
            file.close()
            raise
        return file


def _lock(file: IO[str], service: str) -> None:
    """Lock the file, or tell who has.

    Raises:
        BusyError: When somebody has.
    """
    end = time.monotonic() + SIGNED_WITHIN
    ended: set[int] = set()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(file)
            if (pid := _gives_way(file)) is not None and pid not in ended:
                ended.add(pid)
                end = time.monotonic() + ENDED_WITHIN
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            waits = holder == UNSIGNED or pid is not None
            if not waits or time.monotonic() > end:
                raise BusyError(
                    f"{service} is being {holder}",
                    hint="wait until it has ended; a holder that died frees the lock by itself",
                ) from error
            time.sleep(SIGNED_WITHIN / 50)
        else:
            return


def sign(file: IO[str], purpose: str, *, gives_way: bool = False) -> None:
    """Write into a file that is locked who holds it: this process, from now on."""
    holder = {
        "pid": os.getpid(),
        "life": life(os.getpid()),
        "user": user(),
        "host": socket.gethostname(),
        "purpose": purpose,
        "since": time.time(),
        "gives_way": gives_way,
    }
    file.seek(0)
    file.truncate()
    json.dump(holder, file)
    file.flush()


def _signed(file: IO[str]) -> dict[str, Any] | None:
    """What who holds the lock has written; None where it has not, or runs no more."""
    try:
        file.seek(0)
        holder: dict[str, Any] = json.load(file)
        return holder if lives(holder["pid"], holder["life"]) else None
    except (ValueError, KeyError, TypeError):
        return None


def _gives_way(file: IO[str]) -> int | None:
    """The holder's pid, where it gives way."""
    holder = _signed(file)
    return int(holder["pid"]) if holder and holder.get("gives_way") is True else None


def _holder(file: IO[str]) -> str:
    """Who holds the lock, and since when."""
    holder = _signed(file)
    if holder is None:
        return UNSIGNED
    try:
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        return (
            f"{holder['purpose']} by pid {holder['pid']} ({holder['user']} on {holder['host']})"
            f" since {since} ({ago(time.time() - holder['since'])})"
        )
    except (ValueError, KeyError, TypeError):
        return UNSIGNED


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
