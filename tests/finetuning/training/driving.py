"""A training as a user's program starts it: to be watched, killed, and looked at afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from serving.finetune.training import TrainingJob
from tests.finetuning.training import tiny

DEADLINE = 600.0
"""Seconds that anything may take on a busy machine."""


class Driver:
    """One start of `python -m serving.finetune.training`, as a user's program starts it."""

    def __init__(self, job: TrainingJob, **environment: str) -> None:
        path = job.folder / "job.json"
        path.write_text(job.to_json())
        self.folder = job.folder
        command = [sys.executable, "-m", "serving.finetune.training", str(path)]
        with (job.folder / "driver.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment},
                cwd=Path(__file__).parents[3],
            )  # fmt: skip

    def until(self, what: str, seen: Callable[[], Any]) -> Any:
        """Wait for something, as closely as a kill needs."""
        deadline = time.monotonic() + DEADLINE
        while not (found := seen()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"never {what}: {(self.folder / 'driver.log').read_text()[-3000:]}"
                )
            time.sleep(0.002)
        return found

    def worker(self) -> psutil.Process | None:
        """The process that trains."""
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
            return next((p for p in family if "RayTrainWorker" in " ".join(p.cmdline())), None)
        except psutil.NoSuchProcess:
            return None

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill(self) -> None:
        """End it as the kernel would, and see that nothing of it stays."""
        family = self.family()
        self._process.kill()
        assert self._process.wait(60) == -signal.SIGKILL
        _, left = psutil.wait_procs(family, timeout=120)
        assert not left, f"left behind: {[process.name() for process in left]}"

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        return self._process.wait(DEADLINE)

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


def steps(folder: Path) -> int:
    return len(tiny.lines(folder)) if (folder / "progress.jsonl").exists() else 0


def told(folder: Path) -> int:
    """Lines told so far, those of steps done twice counted twice."""
    path = folder / "progress.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def furthest(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two weights of one name."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
