"""What each worker does: read the job's data, build the model, train to the end.

It runs inside a process group that is there already, whoever made it: Ray Train for a run, plain
processes in the tests of strategies. It starts nothing and joins nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from serving.finetune.training.checkpoints import Checkpoint, Checkpoints
from serving.finetune.training.failure import (
    Failure,
    Kind,
    TrainingError,
    disk_watched,
    read_failure,
)
from serving.finetune.training.job import TrainingJob, job_from_json
from serving.finetune.training.order import Order
from serving.finetune.training.rows import Documents, unchanged, unpack, unreadable
from serving.finetune.training.steps import Steps, plain_text

CACHE = "documents"

AGREED = frozenset({Kind.STOPPED, Kind.NOT_FINITE, Kind.DIVERGED})
"""Reasons that all workers meet at the same step: none of them waits for another."""


def entry(told: dict[str, str]) -> None:
    """Ray Train's loop of one worker; `told` is `{"job": JSON}`.

    Ray starts a lost group of workers again. A reason that would come again is not tried: it lies
    in the run's folder, and the group ends at once.
    """
    job = job_from_json(told["job"])
    _log_to(
        job.folder / f"worker-{distributed.get_rank() if distributed.is_initialized() else 0}.log"
    )
    if read_failure(job.folder) is not None:
        return
    try:
        train(job)
    except TrainingError as error:
        if error.failure.kind not in AGREED:
            raise  # another worker may wait for this one, and must be ended


def _log_to(path: Path) -> None:
    """Let what this process says go where the run's other files are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def train(job: TrainingJob) -> None:
    """Train from the newest whole checkpoint to the last step.

    Raises:
        TrainingError: When it ends before; the reason is in `failure.json` too.
    """
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    try:
        with disk_watched(job.folder, 0):
            _train(job, rank)
    except TrainingError as error:
        error.failure.write(job.folder)
        raise
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(job, str(error)) from error
    except MemoryError as error:
        raise _out_of_memory(job, "the machine's memory is used up") from error
    except (AttributeError, ImportError, LookupError, OSError, TypeError, ValueError) as error:
        # Not RuntimeError: that is what a worker meets when another was lost, and is tried again.
        Failure(Kind.UNEXPECTED, f"{type(error).__name__}: {error}"[:2000]).write(job.folder)
        raise
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(job, str(error).splitlines()[0]) from error


def _out_of_memory(job: TrainingJob, what: str) -> TrainingError:
    hint = "a smaller micro_batch or sequence, gradient_checkpointing, or fsdp need less"
    failure = Failure(Kind.OUT_OF_MEMORY, f"a worker is out of memory: {what}", hint=hint)
    failure.write(job.folder)
    return TrainingError(failure)


def _train(job: TrainingJob, rank: int) -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    _threads(job)
    start = _start(job, rank)
    if job.objective == "dpo":
        from serving.finetune.training import preference

        preference.train(job, rank, start, _vocabulary(job))
        return
    documents, held_out = _documents(job, rank)
    order = Order(job, documents.lengths(job.sequence))
    steps = Steps(job, rank, order, documents, held_out, _vocabulary(job))
    steps.barrier = barrier
    if job.strategy in ("tensor", "pipeline"):
        from serving.finetune.training import divided

        divided.train(job, rank, steps, start)
        return
    _train_sft(job, steps, start)


def _train_sft(job: TrainingJob, steps: Steps, start: Checkpoint | None) -> None:
    from serving.finetune.training import model as models
    from serving.finetune.training import trainer

    tokenizer = models.tokenizer(job)
    model = models.load(job)
    steps.begin(start.step if start else 0)
    built = trainer.build(steps, model, tokenizer, models.pad(tokenizer))
    trainer.run(built, steps, start.path if start else None, lambda path: export(built, path))


def _vocabulary(job: TrainingJob) -> int:
    from serving.finetune.training.model import configuration

    return int(configuration(job).get_text_config().vocab_size)


def export(trainer: Any, folder: Path) -> None:
    """The trained weights as others load them: an adapter in peft's format, or a whole model."""
    if trainer.is_fsdp_enabled:  # it keeps shards where others keep a model
        state = trainer.accelerator.get_state_dict(trainer.model)
        if trainer.args.should_save:
            trainer._save(str(folder), state_dict=state)  # noqa: SLF001
    else:
        trainer.save_model(str(folder), _internal_call=True)
    (folder / "training_args.bin").unlink(missing_ok=True)


def barrier() -> None:
    """Wait for the other workers; alone, for nobody."""
    if distributed.is_initialized():
        distributed.barrier()


def _threads(job: TrainingJob) -> None:
    """Share the cores: Ray tells each worker to use one, whatever the machine has."""
    if not torch.cuda.is_available():
        own = len(os.sched_getaffinity(0))
        torch.set_num_threads(job.cores or max(1, own // job.workers))


def _start(job: TrainingJob, rank: int) -> Checkpoint | None:
    """Where to go on; all workers hear it from the first, which alone looks."""
    found: list[Any] = [None]
    if rank == 0:
        kept = Checkpoints(job.folder / "checkpoints", job.keep)
        kept.clear()
        found = [kept.newest(lambda text: print(text, flush=True))]  # noqa: T201 - the run's log
    if distributed.is_initialized():
        distributed.broadcast_object_list(found)
    start: Checkpoint | None = found[0]
    return start


def _documents(job: TrainingJob, rank: int) -> tuple[Any, Any]:
    """What is learnt from and what is held out, unpacked by the first worker."""
    data, cache = Path(job.data), job.folder / CACHE
    split = job.sequence if plain_text(data) else 0
    told = _manifest(data)
    parts = [part for part in ("train", "eval") if (data / f"{part}.parquet").is_file()]
    if "train" not in parts:
        raise unreadable(data, "it has no train.parquet")
    if rank == 0:
        for part in parts:
            digest = unchanged(data / f"{part}.parquet", told.get(part, {}))
            unpack(data / f"{part}.parquet", digest, cache / part, split)
    barrier()
    documents = Documents(cache / "train")
    if not (documents.lengths(job.sequence) > 0).any():
        raise unreadable(data, "nothing of it is to be learnt")
    held_out = Documents(cache / "eval") if "eval" in parts else None
    return documents, held_out if held_out is not None and len(held_out) else None


def _manifest(data: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((data / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise unreadable(data, f"its manifest.json cannot be read ({error})") from error
    return told
