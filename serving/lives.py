"""Whose pid it is: a process is named by its pid and the moment at which it started.

So a pid that was given out again is not taken for the one that had it. The moment is counted from
the machine's boot, as the kernel keeps it. Told by the clock it moves whenever the clock is set, by
an hour if that is so much, and then whoever serves or holds a lock would be taken for dead.
"""

from __future__ import annotations

from pathlib import Path

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another for each boot of the kernel."""


def began(pid: int) -> float:
    """Seconds from the machine's boot to the start of the process: no clock that is set moves them.

    Raises:
        psutil.Error: When there is no such process.
    """
    while True:
        boot = psutil.boot_time()
        started = psutil.Process(pid).create_time()
        if psutil.boot_time() == boot:  # else the clock was set between the two
            return round(started - boot, 2)


def life(pid: int) -> str:
    """What no other process of this machine has, or had under another boot.

    Raises:
        psutil.Error: When there is no such process.
    """
    return f"{_boot()}:{began(pid):.2f}"


def lives(pid: int, told: str) -> bool:
    """Whether the process that `life` told of still runs."""
    try:
        return life(pid) == told and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:  # not Linux
        return ""
