"""A lock while it is held: renewed in the background, and given back at the end.

A holder that cannot renew finds out by itself: when too long has passed since the last renewal was
*asked for*, the lock may be another's, and `check` says so before anything more is written.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from clusters.kept import Keeper
from clusters.lease_record import DURATION, Record
from clusters.model import Manifest
from llmops.errors import BusyError, LlmopsError, UnreachableError
from llmops.releases import Conflict

EVERY = 15.0
"""Seconds between renewals."""
SOON = 5.0
"""Seconds until the next try when a renewal failed."""
MARGIN = 10.0
"""Seconds before the end of a lock that `check` no longer counts on: a write takes time too."""
TRIES = 5
"""How often one write is tried when others write the same object (a label, say)."""

Renew = Callable[[], float | None]
"""Renews once; returns seconds until the next time, None when there is nothing left to renew."""
Background = Callable[[Renew], AbstractContextManager[None]]


@contextlib.contextmanager
def in_background(renew: Renew) -> Iterator[None]:
    """Renew from a thread for as long as the block runs."""
    ended = threading.Event()

    def run() -> None:
        wait: float | None = EVERY
        while wait is not None and not ended.wait(wait):
            wait = renew()

    thread = threading.Thread(target=run, name="llmops-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Held:
    """One hold of a lock.

    Args:
        client: Writes the Lease.
        service: The service that it locks.
        lease: The Lease as it was taken.
        since: When the request that took it was sent, by `elapsed`.
        clock: Unix seconds, for what others read.
        elapsed: Seconds on a clock that nobody sets, for what this process goes by.
    """

    def __init__(
        self,
        client: Keeper,
        service: str,
        lease: Manifest,
        since: float,
        clock: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        self._client = client
        self._service = service
        self._lease = lease
        self._identity = Record.of(lease).holder
        self._renewed = since
        self._clock = clock
        self._elapsed = elapsed
        self._lost = ""
        self._guard = threading.Lock()

    def renew(self) -> float | None:
        """Renew once; a failure is tried again soon, and is for `check` to tell of."""
        try:
            with self._guard:
                self._renew()
        except LlmopsError:
            return SOON
        return None if self._lost else EVERY

    def check(self) -> None:
        """Do nothing while the lock is surely held; to be called before each write.

        Raises:
            BusyError: When another has it; names who.
            TargetError: When it could not be renewed for so long that another may have it.
        """
        if not self._lost and self._stale():
            with self._guard:
                self._renew_at_last()
        if self._lost:
            raise BusyError(
                f"the lock of {self._service} was lost: {self._lost}",
                hint="nothing more was changed; look at what was done since, and run again",
            )

    def release(self) -> None:
        """Give the lock back. Where that fails, it expires."""
        with self._guard, contextlib.suppress(LlmopsError):
            if not self._lost:
                self._write(lambda record: replace(record, holder=""))

    def _stale(self) -> bool:
        return self._elapsed() - self._renewed >= DURATION - MARGIN

    def _renew_at_last(self) -> None:
        """Renew now, because the background has not: the machine slept, or the server is away."""
        reason = "others write it all the time"
        try:
            if self._stale():  # the background may have been quicker
                self._renew()
        except LlmopsError as error:
            raise self._unsure(error.message) from error
        if not self._lost and self._stale():
            raise self._unsure(reason)

    def _unsure(self, reason: str) -> UnreachableError:
        seconds = int(self._elapsed() - self._renewed)
        return UnreachableError(
            f"the lock of {self._service} could not be renewed for {seconds} s: {reason}",
            hint="another may have taken it; nothing more was changed: run again",
        )

    def _renew(self) -> None:
        asked = self._elapsed()
        if self._write(lambda record: replace(record, renewed=self._clock())):
            self._renewed = asked

    def _write(self, change: Callable[[Record], Record]) -> bool:
        """Change our own record; whether it was written."""
        for _ in range(TRIES):
            changed = change(Record.of(self._lease)).into(self._lease, self._service)
            try:
                self._lease = self._client.replace(changed)
            except Conflict:
                if not self._still_ours():
                    return False
            else:
                return True
        return False

    def _still_ours(self) -> bool:
        """Read the Lease again; whether we hold it."""
        metadata = self._lease["metadata"]
        found = self._client.get("Lease", metadata["name"], metadata["namespace"])
        record = Record() if found is None else Record.of(found)
        if found is not None and record.holder == self._identity:
            self._lease = found
            return True
        self._lost = (
            record.told(self._service, self._clock()) if record.holder else "somebody broke it"
        )
        return False
