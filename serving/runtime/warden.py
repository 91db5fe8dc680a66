"""Ray's own processes of a runtime, which nobody else looks after.

Ray starts Serve's controller anew when it ends, and waits for good for one that is stopped. Without
the raylet and the GCS nothing of it goes on for long, and Ray starts neither again: they, and all
that hangs on them, are begun anew. Whoever is slow is let alone here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator

import psutil

from serving.runtime.watchdog import EVERY, STOPPED, Standing, end, look

BASIS = ("raylet", "gcs_server")
"""Names of the programs, children of the host."""
CONTROLLER = "ray::ServeController"
"""Start of the title of Serve's controller, a child of the raylet."""
STAYED = 60.0
"""Seconds that a Ray that was begun anew must have been there to be so once more: what ends sooner
would end again."""

log = logging.getLogger("llmops.host")


class Warden:
    """Looks after the Ray that this process has started.

    Args:
        fallen: Told why the runtime has ended, and whether it may be begun anew.
        stayed: Seconds from now on after which it may.
        pid: Of the process whose children are looked after.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        fallen: Callable[[str, bool], None],
        *,
        stayed: float = 0.0,
        pid: int | None = None,
        every: float = EVERY,
    ) -> None:
        self._host = psutil.Process(pid or os.getpid())
        self._fallen, self._every = fallen, every
        self._since = time.monotonic() + stayed
        self._basis = {
            child.pid: child.name()
            for child in self._host.children()
            if child.name() in BASIS and look(child.pid)  # of the Ray before some may be left
        }
        self._standing: dict[int, Standing] = {}

    async def run(self) -> None:
        """Look until the runtime has ended, or this is cancelled."""
        while True:
            if (why := self.look()) is not None:
                self._fallen(why, time.monotonic() >= self._since)
                return
            await asyncio.sleep(self._every)

    def look(self) -> str | None:
        """Look once, and end a controller that is stopped.

        Returns:
            What has become of Ray's basis; None where it is well.
        """
        watched = self._basis | dict.fromkeys(self._controllers(), CONTROLLER)
        self._standing = {pid: self._standing.get(pid, Standing()) for pid in watched}
        for pid, name in watched.items():
            seen = look(pid)
            self._standing[pid].see({pid: seen})
            stopped = self._standing[pid].stopped >= STOPPED
            if name in BASIS and (seen is None or stopped):
                return f"Ray's {name} {'is stopped' if stopped else 'has ended'}"
            if stopped:
                log.warning("Serve's controller, pid %d, is stopped and is ended", pid)
                end([pid])
        return None

    def _controllers(self) -> Iterator[int]:
        for raylet in (pid for pid, name in self._basis.items() if name == BASIS[0]):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(raylet).children():
                    if (child.cmdline() or [""])[0].startswith(CONTROLLER):
                        yield child.pid


__all__ = ["STAYED", "Warden"]
