"""How many connections are open at once: a bound, and who goes when it is reached.

Whoever has no key can open connections, and each takes a file descriptor of the gateway's process.
When all are taken the oldest one on which nothing is being answered gives way, so that clients that
only hold connections keep nobody out; where each has a request in work, the new one is refused.
"""

from __future__ import annotations

import resource
from typing import Protocol

MOST = 4096
"""Connections at once, where the process may have that many files open."""
RESERVED = 256
"""File descriptors that are left for all else: logs, audit, keys, and Ray's own."""


class Line(Protocol):
    """A connection."""

    @property
    def at_work(self) -> bool:
        """Whether it has a request that is not answered whole."""
        ...

    def give_way(self) -> None:
        """Close."""
        ...


def most_lines() -> int:
    """Connections that this process may hold at once: fewer than `MOST` where it may open only few
    files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(MOST, files - RESERVED))


class Lines:
    """The connections of one server, the oldest first."""

    def __init__(self, most: int) -> None:
        """
        Args:
            most: How many there may be at once.
        """
        self._most = most
        self._open: dict[Line, None] = {}

    def admit(self, line: Line) -> bool:
        """Take a new connection; False when there is no place for it."""
        if len(self._open) >= self._most:
            idle = next((one for one in self._open if not one.at_work), None)
            if idle is None:
                return False
            self.leave(idle)  # it counts no more from now on, whenever it is closed
            idle.give_way()
        self._open[line] = None
        return True

    def leave(self, line: Line) -> None:
        """Forget a connection, if it was admitted."""
        self._open.pop(line, None)
