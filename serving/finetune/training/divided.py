"""A loop for models whose layers are divided over workers: tensor and pipeline parallel.

Transformers' trainer cannot do these: it refuses to keep checkpoints of a model that was divided
while it was loaded, and knows no pipeline. What divides the model are the frameworks' own parts
(`tensor.py`, `pipeline.py`); this loop only steps PyTorch's optimiser over each worker's part.
Every worker sees the same rows. Adapters, preference pairs and further copies beside each other are
refused when the job is read.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import distributed, nn
from transformers import get_scheduler, set_seed

from serving.finetune.training import model as models
from serving.finetune.training.batches import Shape, batch, learnt
from serving.finetune.training.checkpoints import Checkpoint
from serving.finetune.training.job import TrainingJob
from serving.finetune.training.packing import Row
from serving.finetune.training.settings import arguments
from serving.finetune.training.steps import Steps

STATE = "worker-{rank}.pt"

Batch = dict[str, torch.Tensor]


class Divided(Protocol):
    """A model of which this worker holds a part."""

    fixed: bool
    """Whether rows must all be as long as a row may be."""

    @property
    def part(self) -> nn.Module: ...

    def learn(self, batches: list[Batch], count: int) -> float:
        """Gradients of a step's micro batches; the mean loss, the same on every worker."""
        ...

    def loss(self, inputs: Batch) -> float:
        """Summed loss without gradients, the same on every worker."""
        ...

    def clip(self, most: float) -> float:
        """Clip gradients to a norm over all workers; the norm before."""
        ...

    def export(self, folder: Path, tokenizer: Any) -> None: ...


def train(job: TrainingJob, rank: int, steps: Steps, start: Checkpoint | None) -> None:
    """Train to the last step.

    Args:
        job: The training.
        rank: Of this worker.
        steps: What happens around a step.
        start: Where to go on.

    Raises:
        TrainingError: When it must stop before.
    """
    set_seed(job.seed)
    loop = Loop(job, rank, steps, _divide(job, rank))
    if start is not None:
        loop.load(start.path)
    steps.begin(loop.step)
    loop.run()
    steps.finish(loop.step, loop.evaluate, loop.export)


def _divide(job: TrainingJob, rank: int) -> Divided:
    if job.strategy == "tensor":
        from serving.finetune.training.tensor import TensorParallel

        return TensorParallel(job)
    from serving.finetune.training.pipeline import Pipeline

    return Pipeline(job, rank)


class Loop:
    """Steps an optimiser over one worker's part.

    Args:
        job: The training.
        rank: Of this worker.
        steps: What happens around a step.
        divided: The model.
    """

    def __init__(self, job: TrainingJob, rank: int, steps: Steps, divided: Divided) -> None:
        self._job, self._rank, self._steps, self._model = job, rank, steps, divided
        self._tokenizer = models.tokenizer(job)
        self._shape = Shape(job.sequence, models.pad(self._tokenizer), fixed=divided.fixed)
        self._device = next(divided.part.parameters()).device
        self.step = 0
        told = arguments(job, steps.order.steps, Path(), torch.cuda.is_available())
        self._optimizer = torch.optim.AdamW(
            decayed(divided.part, job.weight_decay),
            lr=job.learning_rate,
            foreach=False,  # whole and divided tensors cannot be updated in one call
        )
        self._scheduler = get_scheduler(
            told["lr_scheduler_type"], self._optimizer, told["warmup_steps"], steps.order.steps
        )

    def run(self) -> None:
        """From where it stands to the last step, or to where it is told to stop."""
        while self.step < self._steps.order.steps:
            figures = self._step(self.step)
            self.step += 1
            self._steps.done(self.step, figures)
            if self._steps.evaluation_due(self.step):
                self.evaluate()
            if self._steps.due(self.step):
                self._steps.save(self.step, self._write)
            if self._steps.stop:
                return

    def _step(self, number: int) -> dict[str, float]:
        job = self._job
        micro = [
            self._batch(self._steps.order.micro(number, turn, 0))
            for turn in range(job.accumulation)
        ]  # fmt: skip
        self._steps.stop = self._agreed(self._steps.asked_to_stop())
        count = max(1, sum(int(learnt(one["targets"])) for one in micro))
        self._optimizer.zero_grad()
        loss = self._model.learn(micro, count)
        norm = self._model.clip(job.clip or float("inf"))
        rate = float(self._scheduler.get_last_lr()[0])
        self._optimizer.step()
        self._scheduler.step()
        return {"loss": loss, "grad_norm": norm, "learning_rate": rate}

    def _batch(self, rows: list[Row]) -> Batch:
        made = batch(self._steps.documents, rows, self._shape)
        return {name: value.to(self._device) for name, value in made.items()}

    def _agreed(self, asked: bool) -> bool:
        told = torch.tensor(int(asked), device=self._device)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return bool(told)

    def evaluate(self) -> None:
        """The mean loss on what is held out."""
        if self._steps.held_out is None:
            return
        total, count = 0.0, 0
        self._model.part.eval()
        for rows in self._steps.held_out_rows(0, 1):
            full = [*rows, *([()] * (self._job.micro_batch - len(rows)))]
            made = batch(self._steps.held_out, full, self._shape)
            inputs = {name: value.to(self._device) for name, value in made.items()}
            with torch.no_grad():
                total += self._model.loss(inputs)
            count += int(learnt(inputs["targets"]))
        self._model.part.train()
        self._steps.evaluated(self.step, total / max(1, count))

    def _write(self) -> None:
        folder = self._steps.checkpoints.aside / str(self.step)
        folder.mkdir(parents=True, exist_ok=True)
        states = {
            "step": self.step,
            "model": local(self._model.part.state_dict()),
            "optimizer": local(self._optimizer.state_dict()),
            "scheduler": self._scheduler.state_dict(),
            "random": (torch.get_rng_state(), np.random.get_state(), random.getstate()),
        }
        torch.save(states, folder / STATE.format(rank=self._rank))

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint that was verified: it may hold any of Python's values."""
        path = folder / STATE.format(rank=self._rank)
        states = torch.load(path, map_location=self._device, weights_only=False)
        self._model.part.load_state_dict(like(states["model"], self._model.part.state_dict()))
        self._optimizer.load_state_dict(self._divided(states["optimizer"]))
        self._scheduler.load_state_dict(states["scheduler"])
        self.step = int(states["step"])
        torch.set_rng_state(states["random"][0].cpu())
        np.random.set_state(states["random"][1])
        random.setstate(states["random"][2])

    def _divided(self, state: dict[str, Any]) -> dict[str, Any]:
        """An optimiser's state with moments that are divided as their parameters are."""
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        for number, moments in state["state"].items():
            own = parameters[number]
            state["state"][number] = {
                name: as_divided(value, own) if value.ndim else value
                for name, value in moments.items()
            }
        return state

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._model.export(folder, self._tokenizer)


def decayed(part: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay, and biases and norms without, as transformers' trainer has it."""
    every = [one for one in part.parameters() if one.requires_grad]
    return [
        {"params": [one for one in every if one.ndim > 1], "weight_decay": decay},
        {"params": [one for one in every if one.ndim <= 1], "weight_decay": 0.0},
    ]


def local(value: Any) -> Any:
    """A nest of values with this worker's part of every tensor."""
    if isinstance(value, dict):
        return {name: local(one) for name, one in value.items()}
    if isinstance(value, list):
        return [local(one) for one in value]
    return value.to_local() if hasattr(value, "to_local") else value


def like(values: dict[str, Any], divided: dict[str, Any]) -> dict[str, Any]:
    """Parts as tensors that are divided as others of the same names."""
    return {name: as_divided(value, divided[name]) for name, value in values.items()}


def as_divided(value: torch.Tensor, model: Any) -> Any:
    """A part as a tensor that is divided as another one is."""
    if not hasattr(model, "to_local"):
        return value
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        value, model.device_mesh, model.placements, run_check=False, shape=model.shape,
        stride=model.stride(),
    )  # fmt: skip


def computing(job: TrainingJob) -> AbstractContextManager[Any]:
    """The format that is computed in."""
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    format_ = torch.float16 if job.precision == "float16" else torch.bfloat16
    chosen: AbstractContextManager[Any] = torch.autocast(
        kind, dtype=format_, enabled=job.precision != "float32"
    )
    return chosen


def total_norm(parameters: Iterable[Any]) -> torch.Tensor:
    """The norm of gradients, divided ones over all their parts."""
    by_kind: dict[bool, list[torch.Tensor]] = {}
    for one in parameters:
        if one.grad is not None:
            by_kind.setdefault(hasattr(one.grad, "to_local"), []).append(one.grad)
    norms = []
    for divided, gradients in by_kind.items():
        norm: Any = nn.utils.get_total_norm(gradients)
        norms.append(norm.full_tensor() if divided else norm)
    return torch.linalg.vector_norm(torch.stack(norms))


def scale(parameters: Iterable[Any], norm: float, most: float) -> None:
    """Make gradients of a norm as small as they may be, as PyTorch's clipping does."""
    factor = min(1.0, most / (norm + 1e-6))
    for one in parameters:
        if one.grad is not None and factor < 1.0:
            one.grad.mul_(factor)
