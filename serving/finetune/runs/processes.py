"""Programs of a run: started so that they end with whoever started them, and ended with all theirs.

A program is known by the run's folder in its environment, so that of no other run is ever ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "LLMOPS_FINETUNE_RUN"
"""In the environment of every program of a run: its folder."""

STOP_SECONDS = 180.0
"""How long a program that was told to stop may take to leave a checkpoint; then it is killed."""

ORPHAN_SECONDS = 60.0
"""The same, of a program whose supervisor was killed."""

_DIE_WITH_PARENT = 1  # <sys/prctl.h>: PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program of the run in `folder`; what it prints goes to `log`.

    It is told to end (SIGTERM) when this process dies, however it dies.
    """
    parent = os.getpid()

    def bound() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the kernel was told
                os._exit(1)

    with log.open("ab") as output:
        os.fchmod(output.fileno(), 0o600)
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**environment, MARK: str(folder), "PYTHONUNBUFFERED": "1"},
            cwd="/",
            preexec_fn=bound,  # noqa: PLW1509 - a supervisor has no other thread
        )


def family(folder: Path) -> list[psutil.Process]:
    """Every program of a run but the one that asks, and its own ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in own and _belongs(p, folder)]


def end_family(folder: Path, *, kindly: float) -> None:
    """End every program of a run: those that have not ended after `kindly` seconds are killed.

    Told to end are those that none of the others has started: they end what they started, a
    training after its checkpoint.
    """
    found = family(folder)
    pids = {process.pid for process in found}
    for process in found:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in pids:
                process.terminate()
    psutil.wait_procs(found, timeout=kindly)
    for process in (late := family(folder)):
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(late, timeout=10)


def waits(process: subprocess.Popen[bytes], pause: float) -> Iterator[None]:
    """Until the process has ended: one moment after the other."""
    while process.poll() is None:
        yield
        time.sleep(pause)


def _belongs(process: psutil.Process, folder: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(MARK) == str(folder)
    except (psutil.Error, OSError):
        return False
