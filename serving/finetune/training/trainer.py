"""Transformers' trainer, told our order of the data, our loss and our checkpoints.

It keeps what it does well: the optimiser, schedules, clipping, mixed precision, and the strategies
through accelerate. Replaced are the batches (packed, the same for every strategy), the loss (summed
over learnt tokens, divided by those of the whole step over all workers), and what is done with a
checkpoint once its files are written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from serving.finetune.training.batches import (
    Micro,
    Shape,
    batch,
    keeps_columns,
    learnt,
    only,
    summed_loss,
)
from serving.finetune.training.settings import arguments
from serving.finetune.training.steps import Steps
from serving.finetune.training.zero import without_gpu


def build(steps: Steps, model: Any, tokenizer: Any, pad: int) -> SftTrainer:
    """The trainer of a supervised training."""
    job = steps.job
    told = settled(steps)
    shape = Shape(job.sequence, pad)
    micro = Micro(steps.order, steps.documents, shape, job.accumulation, job.copies)
    return SftTrainer(
        steps, shape, model=model, args=TrainingArguments(**told), train_dataset=micro,
        data_collator=only, processing_class=tokenizer, callbacks=[Control(steps)],
    )  # fmt: skip


def settled(steps: Steps) -> dict[str, Any]:
    """Arguments of the trainer on this machine."""
    cuda = torch.cuda.is_available()
    told = arguments(steps.job, steps.order.steps, steps.checkpoints.aside, cuda)
    return told | without_gpu() if "deepspeed" in told and not cuda else told


class Control(TrainerCallback):  # type: ignore[misc]
    """Tells transformers' trainer when to keep, evaluate and stop."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_save = self._steps.due(state.global_step)
        control.should_evaluate = self._steps.evaluation_due(state.global_step)
        control.should_training_stop |= self._steps.stop
        return control


class Kept:
    """What every trainer of ours does with steps and checkpoints; mixed in before its own.

    `steps` is set by who builds it.
    """

    steps: Steps

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:  # noqa: ARG002
        """Each step comes by here, before anything of it is kept."""
        if "loss" in logs and "grad_norm" in logs:
            self.steps.done(self.state.global_step, logs)  # type: ignore[attr-defined]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step  # type: ignore[attr-defined]

        def write() -> None:
            super(Kept, self)._save_checkpoint(model, trial)  # type: ignore[misc]

        self.steps.save(step, write)


class SftTrainer(Kept, Trainer):  # type: ignore[misc]
    """Trains on what is to be learnt of each document."""

    def __init__(self, steps: Steps, shape: Shape, **told: Any) -> None:
        super().__init__(**told)
        self.steps, self._shape = steps, shape
        self._slim = keeps_columns(steps.plain(self.model))
        self.loss_is_scaled_for_ga = True

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset or self.train_dataset)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Tokens that the whole step learns, over all workers; what the loss is divided by.

        Whether one of them was told to stop travels along: all must know it at the same step.
        """
        count = sum(int(learnt(one["targets"])) for one in batch_samples)
        told = torch.tensor([[count, int(self.steps.asked_to_stop())]], device=device)
        told = self.accelerator.gather(told).sum(0) if self.args.world_size > 1 else told[0]
        self.steps.stop = bool(told[1])
        return told[0].clamp(min=1)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,  # noqa: ARG002 - the trainer's own signature
        num_items_in_batch: Any = None,
    ) -> Any:
        # Workers' gradients are averaged, so each counts its share as often as there are workers.
        loss = summed_loss(model, inputs, self._slim)
        return loss * self.args.world_size / num_items_in_batch

    def evaluate(self, *_args: Any, **_kwargs: Any) -> dict[str, float]:
        """Mean loss of a learnt token of what is held out; every worker takes a part of it."""
        documents = self.steps.held_out
        if documents is None:
            return {}
        self.model.eval()
        told = torch.zeros(2, dtype=torch.float64)
        with torch.no_grad(), self.compute_loss_context_manager():
            for rows in self.steps.held_out_rows(self.args.process_index, self.args.world_size):
                inputs = self._prepare_inputs(batch(documents, rows, self._shape))
                told[0] += summed_loss(self.model_wrapped, inputs, self._slim).cpu()
                told[1] += learnt(inputs["targets"]).cpu()
        self.model.train()
        if self.args.world_size > 1:
            told = self.accelerator.gather(told[None].to(self.args.device)).sum(0).cpu()
        loss = float(told[0] / told[1].clamp(min=1))
        self.steps.evaluated(self.state.global_step, loss)
        return {"eval_loss": loss}


def run(trainer: Any, steps: Steps, resume: Path | None, export: Callable[[Path], None]) -> None:
    """Train to the last step from where it stands, and leave the result.

    Raises:
        TrainingError: When it must stop before.
    """
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    steps.finish(trainer.state.global_step, trainer.evaluate, export)
