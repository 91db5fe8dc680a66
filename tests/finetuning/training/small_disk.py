"""`JOB.json MOUNT`: train on a file system that is too small, then with room; in a namespace.

Run by a test in a namespace of its own, so that what it mounts goes with it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from serving.finetune.training import job_from_json, read_failure
from serving.finetune.training.checkpoints import Checkpoints
from serving.finetune.training.failure import NAME, TrainingError
from serving.finetune.training.worker import train

SMALL, ROOM = "size=2500k", "size=64m"
"""Room for one checkpoint of the tiny model, and for all."""


def main() -> None:
    """Say what happened, a line for each thing."""
    mount = sys.argv[2]
    subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", mount], check=True)
    job = replace(job_from_json(Path(sys.argv[1]).read_text()), out=f"{mount}/run")
    job.folder.mkdir()
    try:
        train(job)
        print("never full")
    except TrainingError as error:
        print("kind", error.failure.kind)
    kept = Checkpoints(job.folder / "checkpoints", job.keep)
    found = kept.newest(lambda text: print("damaged", text))
    print("kept", found.step if found else 0)
    told = read_failure(job.folder)
    print("told", told.kind if told else "nothing: not even that had room")
    subprocess.run(["mount", "-o", f"remount,{ROOM}", mount], check=True)
    (job.folder / NAME).unlink(missing_ok=True)
    train(job)
    print("result", (job.folder / "result.json").is_file())


if __name__ == "__main__":
    main()
