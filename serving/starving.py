"""What the kernel has ended for want of memory: it says so nowhere that users look."""

from __future__ import annotations

import contextlib
from pathlib import Path

COUNTERS = Path("sys/fs/cgroup/memory.events"), Path("proc/vmstat")
"""Where the kernel counts, below the root: for a container (cgroup v2), else for the machine."""


def out_of_memory_kills(root: Path = Path("/")) -> int:
    """How many processes the kernel has ended for want of memory.

    Args:
        root: Where `sys` and `proc` are.

    Returns:
        Since the machine started; inside a container, since that one did.
    """
    for path in COUNTERS:
        with contextlib.suppress(OSError):
            for line in (root / path).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


__all__ = ["out_of_memory_kills"]
