"""A process that looks after the one that started it, and ends it when it stands still.

Run by its path, with nothing but the standard library, so that it costs some megabytes and no time.
Whoever starts it says that it goes on by a byte on the watchdog's standard input, twice a second.
What is slow is never ended, however slow it is: only what is stopped, or has said nothing for long
while none of its processes took any of a processor's time or waited for some. It refuses to judge
by a clock: it counts its own looks, which stand still too when the whole machine does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.5
"""Seconds between two looks, and between two signs of life."""
STOPPED = 5
"""Looks in a row at which a process is stopped until it is ended. Who stops one with a debugger is
let alone: the kernel tells that by another letter."""
STILL = 20
"""Looks in a row without a sign of life or any work until a process is ended: a loop may wait for a
disk or a lock for some seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """A process as the kernel shows it."""

    state: str
    """`T` is stopped by a signal, `R` runs or would if it could, `D` waits for a disk."""
    ticks: int
    """Time of processors that its threads have taken since it began, in the kernel's ticks."""


def look(pid: int) -> Look | None:
    """A process now; None when it is gone, or ended and not yet waited for."""
    try:
        # What stands in brackets is its name, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Look(fields[0], int(fields[11]) + int(fields[12]))


def descendants(pid: int) -> list[int]:
    """All that a process has started, and they in turn, as far as it still lives."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        own = children.get(todo.pop(), [])
        found += own
        todo += own
    return found


class Standing:
    """For how many looks in a row processes that belong together have stood."""

    def __init__(self) -> None:
        self.stopped = 0
        """Looks at which one of them was stopped."""
        self.still = 0
        """Looks at which none had done anything since the one before, and none was about to."""
        self._ticks: dict[int, int] = {}

    @property
    def fallen(self) -> bool:
        """Whether they have stood for so long that they are to be ended."""
        return self.stopped >= STOPPED or self.still >= STILL

    def see(self, found: Mapping[int, Look | None], *, owes: bool = True) -> None:
        """Take a look.

        Args:
            found: Each process as it is now.
            owes: Whether something is expected of them; doing nothing is well where nothing is.
        """
        there = {pid: one for pid, one in found.items() if one is not None}
        ticks = {pid: one.ticks for pid, one in there.items()}
        moves = ticks != self._ticks or any(one.state in "RDt" for one in there.values())
        self._ticks = ticks
        self.stopped = self.stopped + 1 if any(one.state == "T" for one in there.values()) else 0
        self.still = self.still + 1 if owes and not moves else 0


def end(pids: Iterable[int]) -> None:
    """End processes at once."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Look after the parent until it ends."""
    parent, every, standing = int(sys.argv[1]), float(sys.argv[2]), Standing()
    while os.getppid() == parent:
        time.sleep(every)
        heard = bool(select.select([0], [], [], 0)[0])
        if heard and not os.read(0, 4096):
            return
        standing.see({parent: look(parent)}, owes=not heard)
        if standing.fallen:
            ours = [pid for pid in descendants(parent) if pid != os.getpid()]
            sys.stderr.write(f"llmops.watchdog: pid {parent} stands still and is ended\n")
            if os.getppid() == parent:  # or the number may be another's by now
                end([parent, *ours])
            return


if __name__ == "__main__":
    main()
