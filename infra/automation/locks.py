"""Who holds a stack's lock, and whether that one can still be alive.

A backend that is no service writes a lock beside the stack and takes it away at the end; a run
that is killed leaves it. Only a holder on this very host whose process is gone is known to be
dead. Everyone else is taken for alive: to break a live one's lock ruins the state of its update.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import datetime

import psutil

from infra.automation.model import Holder
from llmops.errors import BusyError

LOCK = re.compile(r"created by (?P<user>.*)@(?P<host>[^@\s]+) \(pid (?P<pid>\d+)\) at (?P<at>\S+)")

ENDED = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})

ROUNDED = 2.0
"""Seconds by which a lock's time and a process's start may be rounded apart."""


def holders(text: str) -> tuple[Holder, ...]:
    """The holders that a refusal names, one a line."""
    found = map(LOCK.search, text.splitlines())
    return tuple(Holder(m["user"], m["host"], int(m["pid"]), m["at"]) for m in found if m)


def started(pid: int) -> float | None:
    """When a process of this host began, in Unix seconds; None where there is none.

    One that has ended and was not reaped does nothing any more: where a container's first process
    reaps no orphans, that is what is left of everything that was killed.
    """
    try:
        process = psutil.Process(pid)
        return None if process.status() in ENDED else process.create_time()
    except psutil.NoSuchProcess:
        return None


def known_dead(
    holder: Holder,
    *,
    host: str | None = None,
    started: Callable[[int], float | None] = started,
) -> bool:
    """Whether a holder was on this host and has ended: no such process, or one that began after
    the lock was taken and so was only given the same number."""
    if holder.host != (socket.gethostname() if host is None else host):
        return False
    began = started(holder.pid)
    return began is None or began > _seconds(holder.since) + ROUNDED


def _seconds(since: str) -> float:
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        return float("inf")  # no time to compare with: whoever has the number counts as the holder


class Locked(BusyError):
    """Another update of the stack is at work, or one that was killed has left its lock."""

    def __init__(self, stack: str, by: tuple[Holder, ...], who: str = "") -> None:
        named = ", ".join(map(str, by)) or who or "somebody whom the backend does not name"
        super().__init__(
            f"the stack {stack} is being changed by {named}",
            hint="wait until that has ended; if that machine is gone for good: pulumi cancel"
            f" --stack {stack}",
        )
        self.stack = stack
        self.holders = by

    @property
    def stale(self) -> bool:
        """Whether everyone who holds it is known to be dead."""
        return bool(self.holders) and all(known_dead(holder) for holder in self.holders)


__all__ = ["Locked", "holders", "known_dead"]
