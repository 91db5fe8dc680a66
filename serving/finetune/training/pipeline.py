"""Pipeline parallel: each worker holds some of the layers; PyTorch passes hidden states along.

Models of transformers take hidden states in place of tokens, so a stage is the model itself with
fewer layers: the first keeps the embeddings, the last the norm and the head. Where embeddings and
head are one matrix both keep it, and their gradients are summed. Rows are filled to their full
length, because tensors of one shape are passed. Models of another build are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from serving.finetune.training import model as models
from serving.finetune.training.batches import cross_entropy
from serving.finetune.training.divided import Batch, computing, scale
from serving.finetune.training.failure import Failure, Kind, TrainingError
from serving.finetune.training.job import TrainingJob


class Stage(nn.Module):  # type: ignore[misc]
    """The layers of one worker, and what stands before or behind them."""

    def __init__(self, model: Any, rank: int, size: int) -> None:
        super().__init__()
        self.body = model.get_decoder()
        layers = self.body.layers
        self.first = rank * len(layers) // size
        end = (rank + 1) * len(layers) // size
        self.body.layers = nn.ModuleList(layers[self.first : end])
        self._begins, self._ends = rank == 0, rank == size - 1
        self.tied = bool(model.config.get_text_config().tie_word_embeddings) and size > 1
        self.head = model.get_output_embeddings() if self._ends else None
        if not self._begins:
            self.body.embed_tokens = None
        if not self._ends:
            self.body.norm = nn.Identity()

    def forward(self, hidden: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        given = {"input_ids" if self._begins else "inputs_embeds": hidden}
        told = self.body(**given, position_ids=position_ids, use_cache=False).last_hidden_state
        result: torch.Tensor = self.head(told) if self.head is not None else told
        return result

    @property
    def shared(self) -> nn.Parameter | None:
        """The matrix that the first and the last worker both hold; None where there is none."""
        if not self.tied or not (self._begins or self._ends):
            return None
        holder = self.body.embed_tokens if self._begins else self.head
        weight: nn.Parameter = holder.weight  # type: ignore[union-attr]
        return weight


class Pipeline:
    """A model whose layers are divided."""

    fixed = True

    def __init__(self, job: TrainingJob, rank: int) -> None:
        model = models.base(job)
        _fits(job, model)
        models.unmixed(job, model)
        if job.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._job, self._rank, self._config = job, rank, model.config
        self._prefix = model.base_model_prefix
        self._stage = Stage(model, rank, job.pipeline).to(device).train()
        self._last = job.pipeline - 1
        self._device = device
        # The first and the last meet here for the matrix that both hold.
        self._ends = distributed.new_group([0, self._last])

    @property
    def part(self) -> nn.Module:
        return self._stage

    def _schedule(self, micro: int, count: int) -> Any:
        stage = PipelineStage(self._stage, self._rank, self._job.pipeline, self._device)
        kind = Schedule1F1B if micro >= self._job.pipeline else ScheduleGPipe
        return kind(
            stage, micro, loss_fn=lambda logits, targets: cross_entropy(logits, targets) / count,
            scale_grads=False,
        )  # fmt: skip

    def _pass(self, batches: list[Batch], count: int, learns: bool) -> float:
        together = {name: torch.cat([one[name] for one in batches]) for name in batches[0]}
        schedule = self._schedule(len(batches), count)
        losses: list[torch.Tensor] = []
        given = [together["input_ids"]] if self._rank == 0 else []
        last = self._rank == self._last
        run = schedule.step if learns else schedule.eval
        with computing(self._job):
            run(
                *given, position_ids=together["position_ids"],
                target=together["targets"] if last else None, losses=losses if last else None,
            )  # fmt: skip
        told = torch.stack(losses).sum().detach() if last else torch.zeros((), device=self._device)
        told = told.float().reshape(1)
        distributed.broadcast(told, src=self._last)
        return float(told)

    def learn(self, batches: list[Batch], count: int) -> float:
        loss = self._pass(batches, count, True)
        shared = self._stage.shared
        if shared is not None:
            distributed.all_reduce(shared.grad, group=self._ends)
        return loss

    def loss(self, inputs: Batch) -> float:
        return self._pass([inputs], 1, False)

    def clip(self, most: float) -> float:
        shared = self._stage.shared if self._rank == self._last else None  # counted once
        squares = [
            one.grad.float().square().sum()
            for one in self._stage.parameters()
            if one.grad is not None and one is not shared
        ]
        total = torch.stack(squares).sum() if squares else torch.zeros((), device=self._device)
        distributed.all_reduce(total)
        norm = float(total.sqrt())
        scale(self._stage.parameters(), norm, most)
        return norm

    def export(self, folder: Path, tokenizer: Any) -> None:
        """Each worker writes its layers; the first lists which file holds what."""
        from safetensors.torch import save_file

        name = f"model-{self._rank + 1:05d}-of-{self._last + 1:05d}.safetensors"
        tensors = {
            self._name(key): value.contiguous() for key, value in self._stage.state_dict().items()
        }
        if self._stage.tied and self._rank == self._last:
            tensors.pop("lm_head.weight", None)
        save_file(tensors, str(folder / name), metadata={"format": "pt"})
        size = sum(value.nbytes for value in tensors.values())
        told: list[Any] = [None] * (self._last + 1)
        distributed.all_gather_object(told, (name, list(tensors), size))
        if self._rank == 0:
            index = {key: file for file, keys, _ in told for key in keys}
            total = {"total_size": sum(size for _, _, size in told)}
            whole = json.dumps({"metadata": total, "weight_map": index}, indent=1)
            (folder / "model.safetensors.index.json").write_text(whole)
            self._config.save_pretrained(str(folder))
            tokenizer.save_pretrained(str(folder))

    def _name(self, key: str) -> str:
        """What the whole model calls a tensor of this stage."""
        if key.startswith("head."):
            return "lm_head." + key.removeprefix("head.")
        rest = key.removeprefix("body.")
        if rest.startswith("layers."):
            _, number, tail = rest.split(".", 2)
            rest = f"layers.{int(number) + self._stage.first}.{tail}"
        return f"{self._prefix}.{rest}"


def _fits(job: TrainingJob, model: Any) -> None:
    """Refuse what cannot be divided so.

    Raises:
        TrainingError: With what is missing.
    """
    body = model.get_decoder()
    absent = [name for name in ("embed_tokens", "layers", "norm") if not hasattr(body, name)]
    if absent or not hasattr(model, "lm_head"):
        why = f"{model.config.model_type} has no {' and no '.join(absent) or 'lm_head'}"
    elif len(body.layers) < job.pipeline:
        why = f"{len(body.layers)} layers cannot be divided over {job.pipeline} workers"
    else:
        return
    raise TrainingError(
        Failure(Kind.REFUSED, f"strategy pipeline: {why}", hint="set training.strategy to fsdp")
    )
