"""Who holds a lock: a name for people that also tells, on the same machine, whether it still runs.

A process is named by its pid and the moment it started, so that a pid given out again is not taken
for it. Pids are compared only within one *place*: one boot of one kernel and one pid namespace. Two
machines with one host name, or two containers of one machine, are different places, and of another
place nothing is guessed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving.holders import user
from serving.lives import BOOT, began

PIDS = Path("/proc/self/ns/pid")

_FORM = re.compile(r"(\S+)@([^\s/]+)/(\d+)/(\d+)-([0-9a-f]{12})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lock, or wants to."""

    user: str
    host: str
    pid: int
    started: int
    """Whole seconds from the machine's boot."""
    place: str
    nonce: str
    """Tells two holds of one process apart."""

    @classmethod
    def here(cls) -> Holder:
        """This process, with a new nonce."""
        return cls(
            user=re.sub(r"[\s/@]", "-", user()),
            host=re.sub(r"[\s/@]", "-", socket.gethostname()) or "unnamed",
            pid=os.getpid(),
            started=int(began(os.getpid())),
            place=_place(),
            nonce=secrets.token_hex(4),
        )

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """The holder that `str` wrote; None when another program wrote it."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        user, host, pid, started, place, nonce = match.groups()
        return cls(user, host, int(pid), int(started), place, nonce)

    def __str__(self) -> str:
        """As a Lease's `holderIdentity` says it: `user@host/pid/start-place-nonce`."""
        return f"{self.user}@{self.host}/{self.pid}/{self.started}-{self.place}-{self.nonce}"

    @property
    def spoken(self) -> str:
        """As messages name it."""
        return f"{self.user}@{self.host} (pid {self.pid})"

    def is_dead(self) -> bool:
        """Whether its process has surely ended. False when it cannot be known from here."""
        if self.place != _place():
            return False
        try:
            return int(began(self.pid)) != self.started
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


def _place() -> str:
    """Digest of what makes pids comparable."""
    try:
        where = f"{BOOT.read_text()} {PIDS.readlink()}"
    except OSError:  # not Linux: no pid namespaces, and no id of the boot
        where = f"{uuid.getnode()} {int(psutil.boot_time()) // 10}"
    return hashlib.sha256(where.encode()).hexdigest()[:12]
