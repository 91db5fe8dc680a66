"""The stage of the end-to-end tests: one home, one runtime, one service of a tiny real model.

Nothing here looks inside llmops: it runs the installed program and speaks HTTP, as a user does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support import program
from tests.support.program import Done

DEADLINE = 420.0
"""Seconds that one command may take; a start takes about 60 on two busy cores."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stage:
    """A home with its spec file, and what can be done there."""

    home: Path
    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    temporary: Path = Path()
    """Where the runtime's sockets and Ray's session lie."""

    def __post_init__(self) -> None:
        # Short, since a socket's path may have 107 bytes; its own, so that what holds it is ours.
        self.temporary = Path(tempfile.mkdtemp(prefix="e", dir="/tmp"))
        self.environment = os.environ | {
            "LLMOPS_HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "NO_COLOR": "1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spec(self, name: str, source: str, **fields: str) -> Path:
        """Write a spec; fields are sections in flow style."""
        lines = [f"name: {name}", f"target: {{kind: local, port: {self.port}}}"]
        sections = {"model": f"{{source: '{source}', context: 512}}"} | {
            "engine": "{kv_cache: 1GiB,"
            " args: {enable_auto_tool_choice: true, tool_call_parser: hermes}}",
            "maintenance": "{drain: 20s}",
        }
        lines += [f"{key}: {value}" for key, value in (sections | fields).items()]
        path = self.folder / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = DEADLINE) -> Done:
        """Run the program to its end."""
        return program.run(arguments, self.environment, seconds=seconds, stdin=stdin or "")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command and return while it runs."""
        return program.start(arguments, self.environment)

    def deploy(self, spec: Path) -> Done:
        """Deploy without questions."""
        return self.run("deploy", "-f", str(spec), "--yes")

    def status(self, name: str) -> Any:
        """What `status -o json` says."""
        return self.run("status", name, "-o", "json").json()

    def live(self, name: str) -> int:
        """Number of the release that holds the traffic."""
        [release] = [r for r in self.status(name)["releases"] if r["share"] == 100]
        number: int = release["number"]
        return number

    def key(self, name: str, label: str) -> str:
        """A new API key."""
        made = self.run("keys", "create", name, "--key-name", label, "-o", "json")
        assert made.code == 0, made.text
        text: str = made.json()["key"]
        return text

    def complete(self, name: str, key: str, **fields: Any) -> httpx.Response:
        """Ask for a completion."""
        body = {"model": name, "prompt": "one two three", "max_tokens": 8} | fields
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.url}/v1/completions", json=body, headers=headers, timeout=120)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home: by its environment, or by a file it holds open."""
        found = []
        for process in psutil.process_iter():
            try:
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and process.pid != os.getpid() and self._is_ours(process):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.environ().get("LLMOPS_HOME") == str(self.home):
            return True
        links = Path(f"/proc/{process.pid}/fd").iterdir()
        return any(str(link.readlink()).startswith(f"{self.temporary}/") for link in links)

    def end(self) -> None:
        """End whatever a failed test may have left."""
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
        shutil.rmtree(self.temporary, ignore_errors=True)


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: When it is not, in time.
    """
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
        time.sleep(0.1)
