"""Kill a training again and again, wherever that falls, and hold its end against a calm one's.

    .venv/bin/python -m tests.finetuning.training.sweep [KILLS [SEED]]

By hand, since each kill costs a start of Ray: twenty take ten minutes of two quiet cores. Kills
fall on the driver or on the worker, after a random number of steps and a random moment within the
next one; every third while a checkpoint is sealed slowly. It prints where each fell.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

from serving.finetune.training import TrainingJob
from serving.finetune.training.checkpoints import PAUSE, Checkpoints
from tests.finetuning.training import tiny
from tests.finetuning.training.driving import Driver, furthest, steps, weights
from tests.finetuning.training.processes import train_together

EVERY = 2
"""Steps between checkpoints."""


def main() -> None:
    """Kill, go on, compare; the exit code says whether the weights are the same."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as place:
        base, data = tiny.base(Path(place) / "base"), tiny.prepared(Path(place) / "data")
        chosen = tiny.job(
            base, data, Path(place) / "run", dropout=0.1, steps=30 * kills,
            save_every=EVERY,
        )  # fmt: skip
        calm = replace(chosen, out=f"{place}/calm")
        for folder in (chosen.folder, calm.folder):
            folder.mkdir()
        if train_together([calm], calm.folder) != [""]:
            raise SystemExit("the calm training failed")
        for number in range(kills):
            print(f"kill {number + 1}: {_kill(chosen, number, chance)}", flush=True)
        last = Driver(chosen)
        code = last.end()
        far = furthest(weights(chosen.folder / "final"), weights(calm.folder / "final"))
        print(f"{kills} kills; exit code {code}; weights differ by {far:.1e} at most")
        raise SystemExit(0 if code == 0 and far < 1e-6 else 1)


def _kill(job: TrainingJob, number: int, chance: random.Random) -> str:
    """Start, kill somewhere, and say where that was."""
    slow = number % 3 == 2
    driver = Driver(job, **({PAUSE: "1"} if slow else {}))
    kept = Checkpoints(job.folder / "checkpoints", job.keep)
    try:
        if slow:
            driver.until("wrote a checkpoint", lambda: list(kept.aside.glob("*/optimizer.pt")))
            time.sleep(chance.random())
        else:
            begin, further = _lines(job), chance.randrange(3)
            driver.until("had a worker", driver.worker)
            driver.until("went on", lambda: _lines(job) >= begin + further)
            time.sleep(chance.random() * 0.1)
        worker = driver.worker()
        if chance.random() < 0.3 and worker is not None:
            seen = _lines(job)
            worker.kill()
            psutil.wait_procs([worker], timeout=30)
            driver.until("replaced its worker", lambda: _lines(job) > seen)
            where = f"worker {worker.pid}, then the driver"
        else:
            where = "driver"
        aside = "while a checkpoint was written" if kept.aside.exists() else "between checkpoints"
        driver.kill()
        return f"{where} at step {steps(job.folder)}, {aside}"
    finally:
        driver.close()


def _lines(job: TrainingJob) -> int:
    """Lines told so far, those of steps done twice counted twice."""
    path = job.folder / "progress.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


if __name__ == "__main__":
    main()
