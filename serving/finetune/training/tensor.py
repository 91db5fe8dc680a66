"""Tensor parallel: each layer's matrices over all workers, by the plan that transformers has.

A kind of model without such a plan is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from serving.finetune.training import model as models
from serving.finetune.training.batches import keeps_columns, summed_loss
from serving.finetune.training.divided import Batch, computing, scale, total_norm
from serving.finetune.training.failure import Failure, Kind, TrainingError
from serving.finetune.training.job import TrainingJob


class TensorParallel:
    """A model whose matrices are divided."""

    fixed = False

    def __init__(self, job: TrainingJob) -> None:
        from transformers.distributed import DistributedConfig

        found = models.configuration(job).get_text_config()
        heads = getattr(found, "num_key_value_heads", None) or found.num_attention_heads
        if not getattr(found, "base_model_tp_plan", None):
            raise _refused(f"transformers has no plan for dividing {found.model_type}")
        if heads % job.tensor:
            raise _refused(f"{heads} heads of keys and values cannot be divided by {job.tensor}")
        self._job = job
        self._model = models.base(job, distributed_config=DistributedConfig(tp_size=job.tensor))
        self._model.config.use_cache = False
        models.unmixed(job, self._model)
        if job.gradient_checkpointing:
            self._model.gradient_checkpointing_enable({"use_reentrant": False})
        self._model.train()
        self._slim = keeps_columns(self._model)

    @property
    def part(self) -> nn.Module:
        part: nn.Module = self._model
        return part

    def learn(self, batches: list[Batch], count: int) -> float:
        """Every worker computes the whole loss; gradients of what is not divided are equal."""
        total = 0.0
        for inputs in batches:
            with computing(self._job):
                loss = summed_loss(self._model, inputs, self._slim) / count
            loss.backward()
            total += float(loss.detach())
        return total

    def loss(self, inputs: Batch) -> float:
        with computing(self._job):
            return float(summed_loss(self._model, inputs, self._slim))

    def clip(self, most: float) -> float:
        parameters = list(self._model.parameters())
        norm = float(total_norm(parameters))
        scale(parameters, norm, most)
        return norm

    def export(self, folder: Path, tokenizer: Any) -> None:
        """All workers take part: the first writes what it gathers from them."""
        self._model.save_pretrained(str(folder))
        if torch.distributed.get_rank() == 0:
            tokenizer.save_pretrained(str(folder))


def _refused(why: str) -> TrainingError:
    return TrainingError(
        Failure(Kind.REFUSED, f"strategy tensor: {why}", hint="set training.strategy to fsdp")
    )
