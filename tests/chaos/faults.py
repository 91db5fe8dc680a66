"""What a process is struck with: it is killed, stopped, or finds no memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")
STARVING = 2**20
"""Bytes that a starved process may add to what it has: one that does anything wants more."""


class Fault(StrEnum):
    """What is done to a process."""

    KILL = "SIGKILL"
    STOP = "SIGSTOP"
    STARVE = "no memory"
    """A limit of its own, at which the kernel ends it. What it does to a machine whose memory has
    run out is the same, but then the kernel chooses whom."""


def can_starve() -> bool:
    """Whether this user may give a process a limit of memory."""
    return os.access(GROUPS / "memory", os.W_OK) or os.access(GROUPS / "cgroup.procs", os.W_OK)


@contextmanager
def befallen(process: psutil.Process, fault: Fault) -> Iterator[Callable[[], bool]]:
    """Do it; yields what tells whether it has landed, as the kernel says."""
    if fault is Fault.STARVE:
        with _starved(process) as landed:
            yield landed
        return
    process.send_signal(signal.SIGSTOP if fault is Fault.STOP else signal.SIGKILL)
    yield lambda: state(process) == ("T" if fault is Fault.STOP else "gone")


def state(process: psutil.Process) -> str:
    """`gone`, or the kernel's letter where it is stopped; empty for one that runs on."""
    try:
        status = process.status()
    except psutil.NoSuchProcess:
        return "gone"
    if status == psutil.STATUS_ZOMBIE:
        return "gone"
    return "T" if status == psutil.STATUS_STOPPED else ""


def wake(process: psutil.Process) -> None:
    """Let a stopped process go on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGCONT)


@contextmanager
def _starved(process: psutil.Process) -> Iterator[Callable[[], bool]]:
    """Put it into a control group that has hardly any memory; what it had is not counted there."""
    old = GROUPS / "memory"
    if old.is_dir():
        root, limit, events = old, "memory.limit_in_bytes", "memory.oom_control"
    else:
        root, limit, events = GROUPS, "memory.max", "memory.events"
        with contextlib.suppress(OSError):
            (root / "cgroup.subtree_control").write_text("+memory")
    group = root / f"llmops-starved-{os.getpid()}-{process.pid}"
    home = _group_of(process.pid, root)
    group.mkdir()
    try:
        (group / limit).write_text(str(STARVING))
        (group / "cgroup.procs").write_text(str(process.pid))
        yield lambda: _counted(group / events) > 0 and state(process) == "gone"
    finally:
        with contextlib.suppress(OSError):  # it is gone, as it should be
            (home / "cgroup.procs").write_text(str(process.pid))
        _remove(group)


def _group_of(pid: int, root: Path) -> Path:
    """The control group for memory that a process is in."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if "memory" in controllers.split(",") or (root == GROUPS and not controllers):
            return root / place.strip("/")
    return root


def _counted(file: Path) -> int:
    words = file.read_text().split()
    return int(words[words.index("oom_kill") + 1])


def _remove(group: Path) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


__all__ = ["Fault", "befallen", "can_starve", "state", "wake"]
