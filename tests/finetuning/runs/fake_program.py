"""A fake of every stage's program: it does a stage's work in no time, and fails as it is told.

    python fake_program.py RUN-FOLDER STAGE

What it is told lies in `script.json` in LLMOPS_HOME, read at each start. For a stage:
`hold`: wait at this point until `go` is there (training: at a step); `exit`: end with this code;
`failure`: what failure.json holds then; `times`: only the first so many starts do so.
Training takes `steps` steps and leaves a checkpoint after every second one; told to stop it leaves
one at once, as the true one does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

FOLDER, STAGE = Path(sys.argv[1]), sys.argv[2]
HOME = Path(os.environ["LLMOPS_HOME"])
STEPS = 6


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(document))
    new.replace(path)


def _script() -> dict[str, object]:
    with contextlib.suppress(OSError):
        found = json.loads((HOME / "script.json").read_text())
        return dict(found.get(STAGE, {}))
    return {}


SCRIPT = _script()
STARTS = HOME / f"starts-{STAGE}"


def _hold(point: int) -> None:
    if SCRIPT.get("hold") != point:
        return
    _write(HOME / "held.json", {"pid": os.getpid(), "stage": STAGE, "parent": os.getppid()})
    while not (HOME / "go").exists():
        time.sleep(0.02)


def _fail(point: int) -> None:
    starts = STARTS.read_text().count("x")
    if "exit" not in SCRIPT or SCRIPT.get("at", 0) != point:
        return
    if starts > int(str(SCRIPT.get("times", 1000))):
        return
    if "failure" in SCRIPT:
        _write(FOLDER / "failure.json", SCRIPT["failure"])
    code = int(str(SCRIPT["exit"]))
    print(f"{STAGE} fails as it was told to", flush=True)
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _checkpoint(step: int) -> None:
    (FOLDER / "checkpoints" / f"step-{step:08d}").mkdir(parents=True, exist_ok=True)


def _newest() -> int:
    folder = FOLDER / "checkpoints"
    return max((int(path.name[5:]) for path in folder.glob("step-*")), default=0)


def _train() -> None:
    step = _newest()

    def stop(_number: int, _frame: object) -> None:
        _checkpoint(step)
        _write(FOLDER / "failure.json", {"kind": "stopped", "message": "told to stop"})
        sys.exit(130)

    signal.signal(signal.SIGTERM, stop)
    print(f"training goes on from step {step}", flush=True)
    while step < STEPS:
        _hold(step)
        _fail(step)
        step += 1
        line = {"step": step, "steps": STEPS, "loss": 3.0 / step, "tokens": 10 * step,
                "tokens_per_second": 100.0, "eta": 0.1, "time": time.time()}  # fmt: skip
        with (FOLDER / "progress.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if step % 2 == 0:
            _checkpoint(step)
    (FOLDER / "final").mkdir(exist_ok=True)
    _write(FOLDER / "result.json", {"steps": step})


def main() -> None:
    with STARTS.open("a") as file:
        file.write("x")
    if STAGE == "training":
        _train()
        return
    _hold(0)
    _fail(0)
    passed = SCRIPT.get("passed", True)
    done = {
        "model": (FOLDER / "base.json", {}),
        "data": (FOLDER / "job.json", {}),
        "evaluation": (FOLDER / "gate.json", {"passed": passed}),
        "artefact": (FOLDER / "artefact" / "manifest.json", {}),
    }
    _write(*done[STAGE])


main()
