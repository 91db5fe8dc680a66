"""Workers as plain processes: for what Ray adds nothing to, at a fraction of its start.

Each process runs the same worker function that Ray Train runs, one job after another, so that a
pair of processes and its imports are paid once for all strategies.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path

from serving.finetune.training import TrainingJob, job_from_json


def train_together(jobs: Sequence[TrainingJob], folder: Path, deadline: float = 900) -> list[str]:
    """Train jobs of as many workers one after another; what each ended with, empty for success."""
    from torch import multiprocessing

    workers = jobs[0].workers
    context = multiprocessing.get_context("spawn")
    told = [job.to_json() for job in jobs]
    started = [
        context.Process(target=_worker, args=(told, rank, workers, str(folder)), daemon=True)
        for rank in range(workers)
    ]
    for process in started:
        process.start()
    try:
        for process in started:
            process.join(deadline)
            if process.exitcode != 0:
                break
    finally:
        for process in started:
            process.kill()
            process.join()
    return [_read(folder / f"end-{at}") for at in range(len(jobs))]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "never ended"


def _worker(told: list[str], rank: int, workers: int, folder: str) -> None:
    from serving.finetune.training.group import environment, join
    from serving.finetune.training.worker import train

    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    if workers > 1:
        os.environ.update(environment(rank, workers))
        # One group for all jobs: DeepSpeed keeps the first that it sees.
        join(f"{folder}/store", rank, workers, "gloo")
    for at, text in enumerate(told):
        end = ""
        try:
            train(job_from_json(text))
        except Exception:  # noqa: BLE001 - whatever it is, the test shows it
            end = traceback.format_exc()
        if rank == 0 or end:
            (Path(folder) / f"end-{at}").write_text(end)
        if end:
            os._exit(1)
        _forget()


def _forget() -> None:
    """Let the next job find libraries as a process of its own would: DeepSpeed's stay set."""
    from accelerate.state import AcceleratorState
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    AcceleratorState._reset_state(reset_partial_state=True)
    for name in [name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_"))]:
        del os.environ[name]
