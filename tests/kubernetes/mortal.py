"""A client that dies at a write of choice, as `kill -9` kills the program that holds it.

Nothing that the program would do on its way out happens: from that moment every call ends with an
error that no handler expects, also of what runs in `finally` and in other threads. What other
threads have sent already may arrive, as it does when a process is killed.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

from clusters.holder import Holder
from clusters.ports import Writer

WRITES = frozenset({"apply", "create", "replace", "patch_merge", "delete", "evict"})


class Killed(BaseException):
    """The program is gone. No handler for errors catches it."""


class MortalClient:
    """A Writer in front of a real one.

    Args:
        client: The real one.
        at: Which write is the last, from 1; 0 for none: it lives.
        arrives: Whether that write reaches the API server.
    """

    def __init__(self, client: Writer, at: int = 0, *, arrives: bool = True) -> None:
        self._client = client
        self._at = at
        self._arrives = arrives
        self._lock = threading.Lock()
        self.dead = False
        self.written: list[str] = []
        """What was written, or would have been, in the order of sending."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, send: Any, *given: Any, **named: Any) -> Any:
        self._begin(name, given)
        try:
            return send(*given, **named)
        finally:
            if self.dead:
                raise Killed

    def _begin(self, name: str, given: tuple[Any, ...]) -> None:
        with self._lock:
            if self.dead:
                raise Killed
            if name not in WRITES:
                return
            self.written.append(f"{name} {_told(given)}")
            self.dead = len(self.written) == self._at
            if self.dead and not self._arrives:
                raise Killed


def _told(given: tuple[Any, ...]) -> str:
    if isinstance(given[0], dict):
        return f"{given[0]['kind']}/{given[0]['metadata']['name']}"
    return "/".join(map(str, given[:2]))


def already_gone() -> Holder:
    """A holder of a lock whose process has ended: one that had this pid before."""
    return replace(Holder.here(), started=1)
