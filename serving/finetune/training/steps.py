"""What happens around a step, whichever loop runs it: told, watched, kept, stopped.

One object for each worker. Only the first worker writes files that are for people or programs; what
the workers must agree upon (to stop, to keep a checkpoint) is the same number everywhere.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serving.finetune.training import rows as prepared
from serving.finetune.training.checkpoints import Checkpoints, seal
from serving.finetune.training.failure import Failure, Kind, TrainingError, disk_watched
from serving.finetune.training.files import FINAL, RESULT, STOP
from serving.finetune.training.job import TrainingJob
from serving.finetune.training.order import Order
from serving.finetune.training.packing import Row, rows_of
from serving.finetune.training.progress import Progress, first_tokens
from serving.finetune.training.watch import Watch


class Steps:
    """The steps of one training, as one worker sees them.

    Args:
        job: The training.
        rank: Of this worker.
        order: Of the rows.
        documents: What is learnt from.
        held_out: What is evaluated on; None for nothing.
        vocabulary: Of the model.
    """

    def __init__(
        self, job: TrainingJob, rank: int, order: Order, documents: Any, held_out: Any,
        vocabulary: int,
    ) -> None:  # fmt: skip
        self.job, self.rank, self.order = job, rank, order
        self.documents, self.held_out = documents, held_out
        self.checkpoints = Checkpoints(job.folder / "checkpoints", job.keep)
        self.stop = False
        self.barrier: Callable[[], None] = lambda: None
        self._lengths = documents.lengths(job.sequence)
        self._watch = Watch(vocabulary)
        self._progress: Progress | None = None
        self._held_out_loss: float | None = None
        self._loss = math.nan
        self._began = time.monotonic()

    def begin(self, step: int) -> None:
        """Be ready to tell of the steps after this one."""
        if self.rank == 0:
            seen = first_tokens(self.job.folder, step) if step else 0
            self._progress = Progress(self.job, self.order.steps, seen)

    def plain(self, model: Any) -> Any:
        """The model below adapters."""
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    def asked_to_stop(self) -> bool:
        return (self.job.folder / STOP).exists()

    def due(self, step: int) -> bool:
        """Whether a checkpoint is kept after a step."""
        return self.stop or step == self.order.steps or step % self.job.save_every == 0

    def evaluation_due(self, step: int) -> bool:
        every = self.job.eval_every
        return bool(every) and step % every == 0 and step != self.order.steps

    def tokens(self, step: int) -> int:
        """Tokens of a step, filling left out."""
        used = (min(int(self._lengths[n]), self.job.sequence) for row in self.order.step(step)
                for n in row)  # fmt: skip
        return sum(used)

    def done(self, step: int, figures: dict[str, float]) -> None:
        """A step is done, and nothing of it is kept yet.

        Raises:
            TrainingError: When its loss says that nothing of it may be.
        """
        loss, norm = float(figures["loss"]), float(figures["grad_norm"])
        self._loss = loss
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss is {loss} and the gradients' norm {norm}"
            raise self._bad(Kind.NOT_FINITE, step, what)
        fault = self._watch.diverged(loss)
        if fault:
            raise self._bad(Kind.DIVERGED, step, fault)
        if self._progress is not None:
            told = {"loss": loss, "grad_norm": norm, "learning_rate": figures["learning_rate"]}
            with disk_watched(self.job.folder, step):
                self._progress.step(step, self.order.epoch(step - 1), self.tokens(step - 1), told)

    def _bad(self, kind: Kind, step: int, what: str) -> TrainingError:
        numbers = {number for row in self.order.step(step - 1) for number in row}
        split = self.job.sequence if plain_text(Path(self.job.data)) else 0
        found = prepared.sources(Path(self.job.data) / "train.parquet", numbers, split)
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        return TrainingError(
            Failure(
                kind, f"step {step}: {what}; its batch is {shown or 'of unknown rows'}",
                hint="look at those rows; a lower learning rate or more warm-up helps otherwise",
                step=step - 1, sources=found,
            )
        )  # fmt: skip

    def save(self, step: int, write: Callable[[], None]) -> None:
        """Keep a checkpoint; `write` puts its files below `checkpoints.aside`.

        Raises:
            TrainingError: When the disk takes no more.
        """
        with disk_watched(self.job.folder, step):
            write()
            self.barrier()
            if self.rank == 0:
                written = next(one for one in self.checkpoints.aside.iterdir() if one.is_dir())
                self.checkpoints.seal(written, step)
            self.barrier()
        if self._progress is not None:
            self._progress.checkpoint()

    def held_out_rows(self, rank: int, workers: int) -> Iterator[list[Row]]:
        """Micro batches of the evaluation set that a worker takes; as many for each worker."""
        lengths = self.held_out.lengths(self.job.sequence)
        found = rows_of(lengths, self.job.sequence, packing=self.job.packing, seed=0, epoch=0)
        size = self.job.micro_batch
        for begin in range(0, len(found), size * workers):
            own = found[begin + rank * size : begin + (rank + 1) * size]
            yield own or [()]

    def evaluated(self, step: int, loss: float) -> None:
        self._held_out_loss = loss
        if self._progress is not None:
            self._progress.evaluation(step, loss)

    def finish(
        self, step: int, evaluate: Callable[[], object], export: Callable[[Path], None]
    ) -> None:
        """After the loop: evaluate, write `final/` and `result.json`, or say that it was stopped.

        Raises:
            TrainingError: When the loop ended before the last step.
        """
        if step < self.order.steps:
            message = f"stopped after step {step} of {self.order.steps}; its checkpoint is kept"
            hint = "run the same job again: it goes on from there"
            raise TrainingError(Failure(Kind.STOPPED, message, hint=hint, step=step))
        if self.held_out is not None:
            evaluate()
        aside, final = self.job.folder / ".final", self.job.folder / FINAL
        if self.rank == 0:
            shutil.rmtree(aside, ignore_errors=True)
        self.barrier()
        with disk_watched(self.job.folder, step):
            export(aside)
            self.barrier()
            if self.rank == 0:
                shutil.rmtree(final, ignore_errors=True)
                seal(aside, final, {"step": step})
                self._result(step)
        self.barrier()

    def _result(self, step: int) -> None:
        told = {
            "format": 1, "step": step, "steps": self.order.steps,
            "tokens": self._progress.tokens if self._progress else 0,
            "epochs": self.order.epoch(step - 1),
            "loss": None if math.isnan(self._loss) else self._loss,
            "eval_loss": self._held_out_loss,
            "seconds": time.monotonic() - self._began, "documents": len(self._lengths),
            "left_out": int((self._lengths == 0).sum()),
            "cut": int((self._lengths > self.job.sequence).sum()),
        }  # fmt: skip
        path = self.job.folder / RESULT
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(told, indent=1) + "\n")
        aside.replace(path)


def plain_text(data: Path) -> bool:
    """Whether a prepared folder holds plain text, of which long documents may be cut."""
    try:
        return bool(json.loads((data / "manifest.json").read_text())["kind"] == "text")
    except (OSError, ValueError, KeyError, TypeError):
        return False
