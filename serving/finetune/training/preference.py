"""Preference pairs, by trl's DPO trainer (Rafailov et al., "Direct Preference Optimization", 2023).

Its loss and its reference are its own; ours are the order of the pairs, the checkpoints and what is
told. Pairs are not packed: trl compares whole answers. Where an epoch does not fill its last step,
the step's own pairs fill it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import set_seed
from trl import DPOConfig, DPOTrainer

from serving.finetune.training import model as models
from serving.finetune.training.checkpoints import Checkpoint
from serving.finetune.training.job import TrainingJob
from serving.finetune.training.order import Order
from serving.finetune.training.rows import unreadable
from serving.finetune.training.steps import Steps
from serving.finetune.training.trainer import Control, Kept, run, settled

COLUMNS = ("chosen_ids", "chosen_mask", "rejected_ids", "rejected_mask")


class Pairs:
    """Prepared pairs.

    Args:
        parquet: The file.

    Raises:
        TrainingError: When it is not such a file.
    """

    def __init__(self, parquet: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import Dataset

        # Its own reading of Parquet would leave a copy in the user's cache.
        try:
            told = Dataset(pq.read_table(parquet))
        except (OSError, pa.ArrowInvalid) as error:
            raise unreadable(parquet, str(error)) from error
        absent = [name for name in COLUMNS if name not in told.column_names]
        if absent:
            raise unreadable(parquet, f"it has no column {' and '.join(absent)}")
        self.dataset = told.map(divided, remove_columns=told.column_names, keep_in_memory=True)

    def __len__(self) -> int:
        return len(self.dataset)

    def lengths(self, _capacity: int) -> Any:
        """Tokens of each pair's two texts."""
        import numpy as np

        rows = zip(*(self.dataset[name] for name in self.dataset.column_names), strict=True)
        named = (dict(zip(self.dataset.column_names, row, strict=True)) for row in rows)
        return np.asarray(
            [
                2 * len(r["prompt_ids"]) + len(r["chosen_ids"]) + len(r["rejected_ids"])
                for r in named
            ]
        )


def divided(row: dict[str, list[int]]) -> dict[str, list[int]]:
    """A pair as trl takes it: what both texts begin with, and their two ends."""
    prompt = min(_before(row["chosen_mask"]), _before(row["rejected_mask"]))
    return {
        "prompt_ids": row["chosen_ids"][:prompt],
        "chosen_ids": row["chosen_ids"][prompt:],
        "rejected_ids": row["rejected_ids"][prompt:],
    }


def _before(mask: list[int]) -> int:
    return mask.index(1) if 1 in mask else len(mask)


class Ordered(Sampler[int]):  # type: ignore[misc]
    """Pairs in the order of the training."""

    def __init__(self, order: Order, size: int) -> None:
        self._order, self._size = order, size

    def __len__(self) -> int:
        return self._order.steps * self._size

    def __iter__(self) -> Iterator[int]:
        for step in range(self._order.steps):
            found = [number for row in self._order.step(step) for number in row]
            yield from (found[at % len(found)] for at in range(self._size))


class PairTrainer(Kept, DPOTrainer):  # type: ignore[misc]
    """trl's trainer, in our order."""

    def __init__(self, steps: Steps, **told: Any) -> None:
        self.steps = steps
        super().__init__(**told)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset  # it is tokenised already, and trl would do it again

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        self._metrics["train"].clear()
        super().log(logs, start_time)

    def _get_train_sampler(self, *_: Any) -> Ordered:
        return Ordered(self.steps.order, self.steps.job.rows_per_step)

    def get_batch_samples(self, *told: Any, **named: Any) -> Any:
        """All workers must know at the same step whether one was told to stop."""
        asked = torch.tensor([int(self.steps.asked_to_stop())], device=self.args.device)
        asked = self.accelerator.gather(asked) if self.args.world_size > 1 else asked
        self.steps.stop = bool(asked.max())
        return super().get_batch_samples(*told, **named)

    def evaluate(self, *told: Any, **named: Any) -> dict[str, float]:
        found: dict[str, float] = super().evaluate(*told, **named)
        self._metrics["eval"].clear()
        self.steps.evaluated(self.state.global_step, found["eval_loss"])
        return found


def train(job: TrainingJob, rank: int, start: Checkpoint | None, vocabulary: int) -> None:
    """Train on pairs to the last step.

    Raises:
        TrainingError: When it must stop before.
    """
    from serving.finetune.training.worker import barrier, export

    data = Path(job.data)
    pairs = Pairs(data / "train.parquet")
    if not len(pairs):
        raise unreadable(data, "nothing of it is to be learnt")
    held_out = Pairs(data / "eval.parquet") if (data / "eval.parquet").is_file() else None
    held_out = held_out if held_out is not None and len(held_out) else None
    tokenizer = models.tokenizer(job)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = models.pad(tokenizer)
    order = Order(unpacked(job), pairs.lengths(job.sequence))
    steps = Steps(job, rank, order, pairs, held_out, vocabulary)
    steps.barrier = barrier
    steps.begin(start.step if start else 0)
    told = settled(steps) | {
        "per_device_train_batch_size": job.micro_batch, "max_length": job.sequence,
        "per_device_eval_batch_size": job.micro_batch, "beta": job.beta,
    }  # fmt: skip
    set_seed(job.seed)
    built = PairTrainer(
        steps, model=models.base(job), args=DPOConfig(**told),
        train_dataset=pairs.dataset,
        eval_dataset=held_out.dataset if held_out else None, processing_class=tokenizer,
        callbacks=[Control(steps)],
        # Given a model that has adapters already, trl keeps a copy of them beside, and of the two
        # only the copy is found again when a training goes on.
        peft_config=models.adapters(job) if job.method != "full" else None,
    )  # fmt: skip
    run(built, steps, start.path if start else None, lambda path: export(built, path))


def unpacked(job: TrainingJob) -> TrainingJob:
    """The job with pairs that stand alone and are never left out for their length."""
    return replace(job, packing=False, sequence=2**30)
