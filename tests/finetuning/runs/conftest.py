"""A home whose runs are done by fake programs under the true supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.finetune.runs import Claim, Named, Run, RunPaths, Started, follow, view
from serving.finetune.runs.processes import MARK

NAME = "style"
PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_supervisor.py")))
DEADLINE = 120.0


@dataclass
class Workshop:
    """Begins runs, has their fake programs misbehave, and ends what is left."""

    home: Path

    @property
    def named(self) -> Named:
        return Named(self.home, NAME)

    def script(self, **stages: dict[str, Any]) -> None:
        """What the fake programs that start from now on do."""
        for left in ("held.json", "go"):
            (self.home / left).unlink(missing_ok=True)
        (self.home / "script.json").write_text(json.dumps(stages))

    def begin(self, identity: str = "one") -> Started:
        with Claim(self.named, "begun") as claim:
            return claim.launch(claim.create({"name": NAME}, identity, "0" * 40), PROGRAM)

    def go_on(self, paths: RunPaths) -> Started:
        with Claim(self.named, "gone on with") as claim:
            claim.reopen(paths)
            return claim.launch(paths, PROGRAM)

    def held(self) -> dict[str, Any]:
        """Who waits at the point where the script says so."""
        until(lambda: (self.home / "held.json").exists(), "nobody came to the point of holding")
        found: dict[str, Any] = json.loads((self.home / "held.json").read_text())
        return found

    def let_go(self) -> None:
        (self.home / "go").touch()

    def starts(self, stage: str) -> int:
        """How often a stage's program was started."""
        path = self.home / f"starts-{stage}"
        return len(path.read_text()) if path.exists() else 0

    def ended(self, started: Started) -> Run:
        return ended(started)

    def end(self) -> None:
        """End whatever a failed test has left."""
        root = str(self.home)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = process.environ().get("LLMOPS_HOME") == root
                if process.pid != os.getpid() and ours:
                    process.kill()


def ended(started: Started) -> Run:
    """Follow a run to its end."""
    flow = follow(started.paths, started.process)
    end = time.monotonic() + DEADLINE
    try:
        while True:
            next(flow)
            assert time.monotonic() < end, f"{view(started.paths)} has not ended"
    except StopIteration as done:
        run: Run = done.value
        started.process.wait(DEADLINE)
        return run


def until(what: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


def kill(pid: int) -> None:
    """Kill, and prove that it has landed."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: _dead(pid), f"{pid} lives")


def _dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def marked(folder: Path) -> list[int]:
    """Programs of a run that live."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder):
                found.append(process.pid)
    return found


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    made = Workshop(tmp_path)
    yield made
    made.end()
