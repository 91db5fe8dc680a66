"""One writer per service in a cluster: a Lease that its holder renews, and that says who.

Whoever finds the lock held is refused at once, with the holder's name. A lock is taken from a
holder that has surely ended (its process was on this very machine, and is gone), or that let it
expire: by our clock its time is over, *and* for longer than a holder takes to renew nothing has
changed. So no clock needs to be right: one that is wrong costs a wait of seconds, never two
writers. The holder itself goes by a clock that nobody sets and that runs on while the machine
sleeps; `Held.check` tells it when the lock is not surely its own any more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from clusters import names
from clusters.held import EVERY, TRIES, Background, Held, in_background
from clusters.holder import Holder
from clusters.kept import Keeper, blank, checked_name, version_of
from clusters.lease_record import Record
from clusters.model import Manifest
from llmops.errors import BusyError
from llmops.releases import Conflict

WATCH = EVERY + 5.0
"""Seconds that an expired lock must stay unchanged before it is taken: a holder that lives has
renewed it by then."""
LOOK = 2.0
"""Seconds between looks meanwhile."""

Tell = Callable[[str], None]


def elapsed() -> float:
    """Seconds on a clock that nobody sets; where the system has one, it counts sleep too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _nobody(_: str) -> None:
    """The listener of who does not want to know."""


class LeaseLock:
    """The locks of a namespace's services. It is not re-entrant.

    Args:
        client: Reads and writes Leases.
        namespace: Where they are.
        clock: Unix seconds.
        holder: Makes the name under which a lock is held.
        tell: Is told, in words, when an expired lock is waited for.
        sleep: Waits that many seconds.
        elapsed: See `elapsed`.
        background: Runs the renewals; see `in_background`.
    """

    def __init__(
        self,
        client: Keeper,
        namespace: str,
        *,
        clock: Callable[[], float] = time.time,
        holder: Callable[[], Holder] = Holder.here,
        tell: Tell = _nobody,
        sleep: Callable[[float], None] = time.sleep,
        elapsed: Callable[[], float] = elapsed,
        background: Background = in_background,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._holder = holder
        self._tell = tell
        self._sleep = sleep
        self._elapsed = elapsed
        self._background = background

    @contextlib.contextmanager
    def hold(self, service: str, purpose: str) -> Iterator[Held]:
        """Be the only one that changes `service`, for as long as the block runs.

        `purpose` completes "the service is being …". The block calls `check` of what it is given
        before each write.

        Raises:
            BusyError: When another holds it; says who, since when, and when it expires.
            InputError: When `service` is no name of a service.
        """
        lease, since = self._take(checked_name(service), purpose)
        held = Held(self._client, service, lease, since, self._clock, self._elapsed)
        try:
            with self._background(held.renew):
                yield held
        finally:
            held.release()

    def _take(self, service: str, purpose: str) -> tuple[Manifest, float]:
        """The Lease as ours, and when it was asked for."""
        identity = str(self._holder())
        for _ in range(TRIES):
            found = self._client.get("Lease", names.lease(service), self._namespace)
            if found is not None:
                self._refuse_if_held(service, found)
            asked = self._elapsed()
            with contextlib.suppress(Conflict):
                return self._write(service, purpose, identity, found), asked
        raise BusyError(
            f"the lock of {service} changes hands all the time", hint="try again in a moment"
        )

    def _write(self, service: str, purpose: str, identity: str, found: Manifest | None) -> Manifest:
        now = self._clock()
        turns = Record.of(found).transitions + 1 if found else 0
        record = Record(identity, purpose, acquired=now, renewed=now, transitions=turns)
        if found is None:
            made = blank("Lease", names.lease(service), self._namespace)
            return self._client.create(record.into(made, service))
        return self._client.replace(record.into(found, service))

    def _refuse_if_held(self, service: str, found: Manifest) -> None:
        """Return when the lock may be taken as it was found.

        Raises:
            BusyError: When it may not.
        """
        record = Record.of(found)
        holder = Holder.parse(record.holder)
        if not record.holder or (holder is not None and holder.is_dead()):
            return
        if record.lives(self._clock()):
            raise self._busy(service, record)
        self._watch(service, found)

    def _watch(self, service: str, found: Manifest) -> None:
        """Wait whether the holder of a lock that has expired by our clock renews it after all.

        Raises:
            BusyError: When it does: its clock or ours is wrong.
        """
        record = Record.of(found)
        told = f"{record.told(service, self._clock())}; it should have ended at {record.ends}"
        self._tell(f"{told}: waiting {WATCH:g} s for a sign of life")
        until = self._elapsed() + WATCH
        while self._elapsed() < until:
            self._sleep(LOOK)
            again = self._client.get("Lease", names.lease(service), self._namespace)
            if again is None or not Record.of(again).holder:
                return
            if version_of(again) != version_of(found):
                raise self._busy(service, Record.of(again))

    def _busy(self, service: str, record: Record) -> BusyError:
        name = names.lease(service)
        return BusyError(
            f"{record.told(service, self._clock())}; it expires at {record.ends} unless renewed",
            hint="wait until it has ended; a holder that died loses the lock when it expires, and"
            f" 'kubectl -n {self._namespace} delete lease {name}' breaks it at once",
        )
