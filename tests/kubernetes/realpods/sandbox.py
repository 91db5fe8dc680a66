"""One process in namespaces of its own: its first process, its address, its log, its end."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.kubernetes.processes import Server
from tests.kubernetes.realpods import inside
from tests.kubernetes.realpods.network import Network

NAMESPACES = ("net", "mount", "uts", "ipc", "pid")
BECOMES = 10.0
"""Seconds until the namespaces must be there."""


class Sandbox:
    """A process that sees a machine of its own; all of it dies with the test."""

    def __init__(self, folder: Path) -> None:
        self._spec = folder / "sandbox.json"
        # `unshare` cannot be told to end while its child runs: killed, it takes the child along.
        unshare = ["unshare", *(f"--{name}" for name in NAMESPACES), "--fork", "--kill-child"]
        command = [*unshare, sys.executable, "-I", str(Path(inside.__file__)), str(self._spec)]
        self._server = Server(command, folder)

    def start(self, spec: dict[str, Any], network: Network) -> None:
        """Start what `inside` is told by `spec`, and give it its address."""
        self._spec.touch(mode=0o600)  # Ray's token is in there
        self._spec.write_text(json.dumps(spec))
        self._server.start()
        pid, own = self._server.pid, _network("self")
        end = time.monotonic() + BECOMES
        while _network(pid) == own:
            if time.monotonic() > end:
                raise TimeoutError(f"no network namespace within {BECOMES} s")
            time.sleep(0.01)
        network.join(pid, spec["address"])

    @property
    def runs(self) -> bool:
        return self._server.runs

    @property
    def log(self) -> Path:
        """What it prints."""
        return self._server.log

    def tail(self) -> str:
        return self._server.tail()

    def first(self) -> psutil.Process | None:
        """The namespaces' first process; None when it has ended."""
        try:
            return next(iter(psutil.Process(self._server.pid).children()), None)
        except (RuntimeError, psutil.NoSuchProcess):
            return None

    def terminate(self) -> None:
        """Tell the first process to end."""
        if (first := self.first()) is not None:
            first.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End everything in it at once."""
        self._server.stop(signal.SIGKILL)

    def enters(self, command: list[str]) -> list[str]:
        """The command that runs `command` in there. Raises RuntimeError when it has ended."""
        if (first := self.first()) is None:
            raise RuntimeError("nothing runs there any more")
        return ["nsenter", f"--target={first.pid}", *(f"--{n}" for n in NAMESPACES), *command]


def _network(pid: int | str) -> Path:
    """What the kernel calls the network namespace of a process."""
    return Path(f"/proc/{pid}/ns/net").readlink()
