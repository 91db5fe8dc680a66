"""The agent's lease: one agent at a time works for a store, and it knows when it may not any more.

A lease is taken from an agent that has ended, that surely runs no more (its process was in this
very place), or that lets it lie unchanged for as long as it holds. The holder goes by a clock that
nobody sets, and that runs on while the machine sleeps: once its time is over nothing is written,
until a beat has renewed it.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from llmops import __version__
from llmops.errors import BusyError
from llmops.events import Flow, Progress
from llmops.releases import Conflict
from serving.agent import names, telling
from serving.agent.blobs import Blob, Blobs, StoreUnreachable
from serving.agent.documents import FORMATS
from serving.agent.pace import PACE, Pace
from serving.agent.presence import LEASE
from serving.agent.words import Lease, Work
from serving.lives import BOOT, began

MARGIN = 3.0
"""Seconds before its end from which a lease is not surely held: a write takes time."""

PIDS = Path("/proc/self/ns/pid")


def elapsed() -> float:
    """Seconds on a clock that nobody sets; where the system has one, it counts sleep too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Holding:
    """The lease of a store, as the agent holds it.

    Args:
        blobs: The store.
        name: The lease's object.
        clock: Unix seconds.
        elapsed: See `elapsed`.
        sleep: How to pass seconds.
        pace: How often it is renewed, and how long it holds.
    """

    def __init__(
        self,
        blobs: Blobs,
        name: str = names.LEASE,
        *,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace = PACE,
    ) -> None:
        self._blobs, self._name, self._clock = blobs, name, clock
        self._elapsed, self._sleep, self._pace = elapsed, sleep, pace
        self._lease: Lease | None = None
        self._version = ""
        self._asked = 0.0

    def take(self) -> Flow[None]:
        """Take the lease.

        Raises:
            BusyError: When another agent holds it and lives: within the time of one beat.
        """
        began, first = self._elapsed(), ""
        while True:
            found, version = LEASE.read(self._blobs, self._name)
            mark = f"{found.holder} {found.beat}" if found else ""
            waited = self._elapsed() - began
            if found is not None and first and mark != first:
                raise self._busy(found)
            if found is None or found.ended or _is_dead(found) or waited > found.seconds:
                if self._taken(found, version):
                    return
                began, first = self._elapsed(), ""
                continue
            first = mark
            reason = f"{telling.who(found)} held the lease: watching for a sign of life"
            yield Progress("agent", reason, waited, found.seconds)
            self._sleep(self._pace.look)

    def _taken(self, before: Lease | None, version: str) -> bool:
        """Whether the lease is now this agent's, and no other was quicker."""
        self._version = version
        try:
            self._write(self._new(before))
        except Conflict:
            return False
        return True

    def _busy(self, found: Lease) -> BusyError:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.since))
        return BusyError(
            f"{telling.who(found)} works for {self._blobs.where} since {since}",
            hint="stop that one, or wait until it has ended; one that died loses its lease in"
            f" {found.seconds:.0f} s",
        )

    def _new(self, before: Lease | None) -> Lease:
        now = self._clock()
        return Lease(
            holder=secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            started=began(os.getpid()),
            place=_place(),
            since=now,
            renewed_at=now,
            beat=before.beat + 1 if before else 1,
            seconds=self._pace.lease,
            version=__version__,
            formats=FORMATS,
        )

    def _write(self, lease: Lease) -> None:
        asked = self._elapsed()
        self._version = LEASE.write(self._blobs, self._name, lease, self._version)
        self._lease, self._asked = lease, asked

    @property
    def held(self) -> Lease:
        """The lease as it was written last; only once it was taken."""
        assert self._lease is not None  # noqa: S101 - its caller has taken it
        return self._lease

    def renew(self, work: tuple[Work, ...] = ()) -> None:
        """Beat once.

        Raises:
            BusyError: When another agent has taken the lease: this one must end.
        """
        lease = replace(
            self.held, renewed_at=self._clock(), beat=self.held.beat + 1, work=work, ended=False
        )
        try:
            self._write(lease)
        except Conflict as error:
            raise BusyError("another agent has taken the lease of this store") from error

    def end(self) -> None:
        """Say goodbye, so that nobody waits for this agent."""
        lease = replace(
            self.held, renewed_at=self._clock(), beat=self.held.beat + 1, work=(), ended=True
        )
        try:
            self._write(lease)
        except (Conflict, StoreUnreachable):
            return  # another has it, or it expires by itself

    def elsewhere(self) -> bool:
        """Whether an agent of another machine has the lease. Of one on this machine the runtime may
        be the very same."""
        found, _ = LEASE.read(self._blobs, self._name)
        return found is not None and not found.ended and found.place != _place()

    def sure(self) -> bool:
        """Whether the lease is surely this agent's own now."""
        left = self._asked + self._pace.lease - self._elapsed()
        return self._lease is not None and left > MARGIN


class Fenced:
    """A store that only who surely holds the lease writes to: implements `Blobs`."""

    def __init__(self, blobs: Blobs, holding: Holding) -> None:
        self._blobs, self._holding = blobs, holding

    @property
    def where(self) -> str:
        return self._blobs.where

    def get(self, name: str) -> Blob | None:
        return self._blobs.get(name)

    def put(self, name: str, data: bytes, version: str) -> str:
        self._check()
        return self._blobs.put(name, data, version)

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        return self._blobs.names(prefix, after)

    def remove(self, name: str) -> None:
        self._check()
        self._blobs.remove(name)

    def _check(self) -> None:
        if not self._holding.sure():
            raise StoreUnreachable(
                "the agent's lease is not surely its own: nothing is written until it is renewed",
                hint="check the network to the store",
            )


def _place() -> str:
    try:
        return f"{BOOT.read_text().strip()}/{PIDS.readlink()}"
    except OSError:
        return ""


def _is_dead(lease: Lease) -> bool:
    """Whether the holder surely runs no more. Of another place nothing is guessed."""
    if not lease.place or lease.place != _place():
        return False
    try:
        same = began(lease.pid) == lease.started
        return not same or psutil.Process(lease.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


__all__ = ["Fenced", "Holding", "elapsed"]
