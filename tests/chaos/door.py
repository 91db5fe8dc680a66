"""The door's process as a test holds it: begun, looked at, ended by its process id."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving.gateway.server import KEEP_ALIVE

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds for the process to begin, and to end: the machine may be busy."""
DEADLINES = 0.3, 0.3, 0.5
"""Seconds for a head, a body, and to read on; short, so that no test waits for the real ones."""
CANARY = "canary-51c0de"
"""Stands in prompts, keys and headers for what must never be seen in a log."""


@dataclass
class Door:
    """A door that runs."""

    port: int
    patient_port: int
    """The same process, with the deadlines that users have."""
    keys: dict[str, str]
    process: psutil.Process
    home: Path
    log: Path
    looked_at: int = 0
    """Bytes of the log that were looked at."""

    def memory(self) -> int:
        """Bytes that its process holds now."""
        return int(self.process.memory_info().rss)

    def peak(self) -> int:
        """Bytes that its process has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [kibibytes] = [line.split()[1] for line in status.splitlines() if line[:6] == "VmHWM:"]
        return int(kibibytes) * 1024

    def effort(self) -> float:
        """Seconds of the processor that its process has taken."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def said(self) -> bytes:
        """What its log has more than at the last look."""
        new = self.log.read_bytes()[self.looked_at :]
        self.looked_at += len(new)
        return new

    def records(self) -> dict[str, bytes]:
        """All that it has written of its callers, by name."""
        files = [*self.home.glob("audit*"), *self.home.glob("usage*")]
        return {path.name: path.read_bytes() for path in files}


@contextlib.contextmanager
def opened(
    home: Path, *, off: str = "", loop: str = "asyncio", idle: int = KEEP_ALIVE
) -> Iterator[Door]:
    """A door of its own below `home`; it ends with the block, whatever has become of the test.

    Args:
        home: A folder.
        off: The defence that is switched off in it, by its name in `mutations`.
        loop: Its event loop: `asyncio` or `uvloop`.
        idle: Seconds that a line may stay idle between two requests.
    """
    state, log = home / "state", home / "door.log"
    state.mkdir(mode=0o700)
    command = [sys.executable, "-m", "tests.chaos.door_program", str(state)]
    command += [str(seconds) for seconds in DEADLINES] + [off, loop, str(idle)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, f"the door did not begin: {log.read_text()[-2000:]}"
        told = json.loads(said)
        ports = told["port"], told["patient_port"]
        door = Door(*ports, told["keys"], psutil.Process(process.pid), state, log)
        door.said()  # of its start
        yield door
    finally:
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
        process.stdout.close()
