"""One attempt at a training: a Ray of its own, Ray Train in it, and an end that is told.

It never joins another Ray, least of all a service's: its Ray has a folder, a token and ports of its
own, on loopback, and the kernel ends Ray's processes when the driver dies, however it dies. What an
attempt before left running is ended first; two attempts in one folder are refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from llmops.errors import InputError, LlmopsError, RefusedError
from serving.finetune.training.failure import NAME, Failure, Kind, TrainingError, read_failure
from serving.finetune.training.files import FINAL, RESULT, STOP
from serving.finetune.training.job import TrainingJob, job_from_json
from serving.starving import out_of_memory_kills

RETRIES = 2
"""How often a lost worker is replaced within one attempt."""

OBJECT_STORE = 96 * 2**20
"""Bytes of Ray's object store: weights and data never pass through it."""

LOCK = "training.lock"


def run(path: Path) -> int:
    """Train as the file says, and return the exit code; the reason lies in `failure.json`."""
    try:
        job = read(path)
    except LlmopsError as error:
        kind = Kind.REFUSED if isinstance(error, RefusedError) else Kind.INPUT
        return _ended(path.parent, Failure(kind, error.message, hint=error.hint))
    job.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(job.folder / LOCK, timeout=0):
            return _locked(job)
    except Timeout:
        message = f"{job.folder}: another process trains here"
        failure = Failure(Kind.BUSY, message, hint="wait for it, or stop it")
        print(failure.message, file=sys.stderr)  # noqa: T201 - the run's log
        return failure.exit_code  # its failure.json belongs to the other one


def read(path: Path) -> TrainingJob:
    """The job of a file.

    Raises:
        InputError: When there is none, or it contradicts itself.
        RefusedError: When it asks for what is not offered here.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    job = job_from_json(text, str(path))
    offered(job)
    return job


def offered(job: TrainingJob) -> None:
    """Refuse what this machine cannot do.

    Raises:
        RefusedError: With the reason.
    """
    import torch

    if torch.cuda.is_available():
        if job.workers > (gpus := torch.cuda.device_count()):  # Ray would wait for more for ever
            raise RefusedError(
                f"{job.workers} workers need as many NVIDIA GPUs, and this machine has {gpus}",
                hint="set training.workers to what the machine has",
                path="training.workers",
            )
        return
    if job.method == "qlora":
        raise RefusedError(
            "method qlora: weights in 4 bits need an NVIDIA GPU, and this machine has none",
            hint="set method.kind to lora",
            path="method.kind",
        )
    zero = job.strategy.startswith("deepspeed")
    if job.precision == "float16" or (zero and job.precision != "float32"):
        raise RefusedError(
            f"precision {job.precision}{' with DeepSpeed' if zero else ''}: it needs an NVIDIA GPU,"
            " and this machine has none",
            hint="set training.precision to float32",
            path="training.precision",
        )


def _locked(job: TrainingJob) -> int:
    for name in (NAME, STOP, RESULT):
        (job.folder / name).unlink(missing_ok=True)
    _heed(job)
    with _ray(job):
        _heed(job)  # Ray has set a handler of its own
        failure = _fit(job)
    shutil.rmtree(job.folder / "ray", ignore_errors=True)
    if failure is None and not (job.folder / FINAL).is_dir():
        failure = Failure(Kind.UNEXPECTED, "the workers ended without a result")
    return _ended(job.folder, failure) if failure else 0


def _heed(job: TrainingJob) -> None:
    """Make SIGTERM a request to keep a checkpoint and end."""
    signal.signal(signal.SIGTERM, lambda *_: (job.folder / STOP).touch())


def _ended(folder: Path, failure: Failure) -> int:
    if failure.kind is Kind.DISK_FULL:
        # What was half-written holds the room that the reason needs.
        shutil.rmtree(folder / "checkpoints" / ".writing", ignore_errors=True)
        shutil.rmtree(folder / ".final", ignore_errors=True)
    with contextlib.suppress(OSError):
        failure.write(folder)
    hint = f"\nhint: {failure.hint}" if failure.hint else ""
    print(f"{failure.kind}: {failure.message}{hint}", file=sys.stderr)  # noqa: T201
    return failure.exit_code


@contextlib.contextmanager
def _ray(job: TrainingJob) -> Iterator[None]:
    """A Ray of this process's own."""
    from serving.runtime.launcher import environment, leftovers, private_directory, write_token
    from serving.runtime.paths import RuntimePaths

    paths = RuntimePaths(job.folder)
    end(leftovers(paths))
    shutil.rmtree(paths.sockets, ignore_errors=True)
    private_directory(paths.sockets)
    write_token(paths.token, os.urandom(32).hex())
    kept = environment(paths, dict(os.environ))
    os.environ.clear()
    os.environ.update(kept | _train_settings())
    import ray

    cores = max(job.workers, os.cpu_count() or 1)
    try:
        ray.init(
            address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False,
            object_store_memory=OBJECT_STORE, configure_logging=False,
            _temp_dir=str(paths.ray),
        )  # fmt: skip
        yield
    finally:
        ray.shutdown()
        end(leftovers(paths))
        shutil.rmtree(paths.sockets, ignore_errors=True)


def _train_settings() -> dict[str, str]:
    return {
        "RAY_TRAIN_V2_ENABLED": "1",
        # Workers stay where they were started: all paths of a job are absolute.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def _fit(job: TrainingJob) -> Failure | None:
    """Let Ray Train run the workers to their end; why they did not get there."""
    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from serving.finetune.training.group import FileTorchConfig
    from serving.finetune.training.worker import entry
    from serving.runtime.paths import RuntimePaths

    cuda = torch.cuda.is_available()
    killed = out_of_memory_kills()
    trainer = TorchTrainer(
        entry,
        train_loop_config={"job": job.to_json()},
        torch_config=FileTorchConfig(
            backend="nccl" if cuda else "gloo", folder=str(RuntimePaths(job.folder).sockets)
        ),
        scaling_config=ScalingConfig(num_workers=job.workers, use_gpu=cuda),
        run_config=RunConfig(
            name="train", storage_path=str(job.folder / "ray"),
            failure_config=FailureConfig(max_failures=RETRIES),
        ),
    )  # fmt: skip
    try:
        trainer.fit()
    except TrainingFailedError as error:
        return read_failure(job.folder) or classify(error, out_of_memory_kills() - killed)
    return read_failure(job.folder)


def classify(error: Any, kills: int) -> Failure:
    """Name what ended the workers, from what Ray Train says of them.

    Args:
        error: Its error; `worker_failures` maps ranks to what each ended with.
        kills: Processes that the kernel ended for want of memory meanwhile.
    """
    causes = list(getattr(error, "worker_failures", {}).values()) or [error]
    for cause in causes:
        for found in (cause, getattr(cause, "cause", None)):
            if isinstance(found, TrainingError):
                return found.failure
    words = " ".join(str(cause) for cause in causes)
    hint = "a smaller micro_batch or sequence, gradient_checkpointing, or fsdp need less"
    if kills > 0 or any(type(cause).__name__ == "OutOfMemoryError" for cause in causes):
        message = "a worker was ended because the machine ran out of memory"
        return Failure(Kind.OUT_OF_MEMORY, message, hint=hint)
    died = ("ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "RayActorError")
    if any(type(cause).__name__ in died for cause in causes):
        message = f"workers ended {RETRIES + 1} times without a reason of their own"
        return Failure(Kind.WORKER_LOST, message, hint="see the run's log and the kernel's")
    return Failure(Kind.UNEXPECTED, words.strip()[-2000:] or type(error).__name__)


def end(processes: list[psutil.Process]) -> None:
    """End what an attempt left, by the processes themselves."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
