"""The order of a whole training: which rows make up which step, whatever ran before.

Any step's rows follow from the job and the lengths alone, so a training that is resumed sees what
an uninterrupted one would have seen, and two strategies with the same rows for each step see the
same data. A step never spans two epochs: the last of an epoch has fewer rows, and workers that get
none pass an empty one, which counts nothing.
"""

from __future__ import annotations

import math
from typing import Any

from serving.finetune.training.job import TrainingJob
from serving.finetune.training.packing import Row, rows_of


class Order:
    """Steps of a training.

    Args:
        job: The training.
        lengths: Tokens of each document.
    """

    def __init__(self, job: TrainingJob, lengths: Any) -> None:
        self._job, self._lengths = job, lengths
        self._epochs: dict[int, list[Row]] = {}
        self._ends: list[int] = []
        self.steps = self._count()

    def _count(self) -> int:
        if self._job.steps is not None:
            return self._job.steps
        epochs = float(self._job.epochs or 0)
        whole = math.floor(epochs)
        while len(self._ends) < math.ceil(epochs):
            self._extend()
        done = self._ends[whole - 1] if whole else 0
        if whole == len(self._ends):
            return done
        share = (epochs - whole) * (self._ends[whole] - done)
        return max(1, done + math.ceil(share))

    def _extend(self) -> None:
        epoch = len(self._ends)
        rows = -(-len(self._rows(epoch)) // self._job.rows_per_step)
        self._ends.append(rows + (self._ends[-1] if self._ends else 0))

    def _rows(self, epoch: int) -> list[Row]:
        if epoch not in self._epochs:
            job = self._job
            found = rows_of(
                self._lengths, job.sequence, packing=job.packing, seed=job.seed, epoch=epoch
            )
            # Two at most are looked at in turn; a third would only hold memory.
            kept = list(self._epochs.items())[-1:]
            self._epochs = dict([*kept, (epoch, found)])
        return self._epochs[epoch]

    def step(self, number: int) -> list[Row]:
        """All rows of a step, for all workers; empty rows at the end fill it up."""
        while not self._ends or self._ends[-1] <= number:
            self._extend()
        epoch = next(at for at, end in enumerate(self._ends) if number < end)
        first = self._ends[epoch - 1] if epoch else 0
        size = self._job.rows_per_step
        begin = (number - first) * size
        found = self._rows(epoch)[begin : begin + size]
        return found + [()] * (size - len(found))

    def micro(self, number: int, turn: int, copy: int) -> list[Row]:
        """Rows of one micro batch: of a step, the turn within it, and one copy of the model."""
        size = self._job.micro_batch
        at = (turn * self._job.copies + copy) * size
        return self.step(number)[at : at + size]

    def epoch(self, number: int) -> float:
        """How many passes are done when a step is."""
        while not self._ends or self._ends[-1] <= number:
            self._extend()
        at = next(at for at, end in enumerate(self._ends) if number < end)
        first = self._ends[at - 1] if at else 0
        return at + (number + 1 - first) / (self._ends[at] - first)
