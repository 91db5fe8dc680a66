"""A program that runs beside the tests: started, waited for, and stopped by its own pid.

Its output goes to a file. When it dies too early, the end of that file is in the error. It dies
with the process that started it, so a killed test run leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TAIL = 30
"""Lines of a log that an error shows."""
_LIBC = ctypes.CDLL(None)
_DIE_WITH_PARENT = 1  # <sys/prctl.h>: PR_SET_PDEATHSIG


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)


class Server:
    """One program and its command line; it may be stopped and started again."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.name = Path(command[0]).name
        self.log = folder / f"{self.name}.log"
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._told_to_end = False

    @property
    def pid(self) -> int:
        """Of the process that runs now. Raises RuntimeError when none does."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} does not run\n{self.tail()}")
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it ended without being told to."""
        return self._process is not None and not self.runs and not self._told_to_end

    def start(self) -> None:
        """Start it; `wait` tells when it is of use."""
        self._told_to_end = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )

    def wait(self, ready: Callable[[], bool], within: float = 180.0) -> None:
        """Until `ready()`; raises with the end of the log when it dies or takes too long (s)."""
        until = time.monotonic() + within
        while not ready():
            _ = self.pid
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name} is not ready after {within} s\n{self.tail()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM, grace: float = 5.0) -> None:
        """End it and wait; killed after `grace` seconds. Harmless when it does not run."""
        if self._process is None:
            return
        self._told_to_end = self.runs
        self._process.send_signal(how)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tail(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL:])

    def listens(self) -> list[tuple[str, int]]:
        """Address and port of every socket that it listens on."""
        found = psutil.Process(self.pid).net_connections("inet")
        return [(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN]


def listening(port: int) -> bool:
    """Whether somebody answers on that loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
