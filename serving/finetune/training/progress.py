"""What a training tells while it runs: lines for programs, figures for dashboards.

`progress.jsonl` has one line for each step; a step that is done again after a kill has two, and the
later one counts. `metrics.prom` is what the node exporter's textfile collector reads, replaced at
once, so that no half of it is ever seen. A disk that takes none of it ends the training: it would
take no checkpoint either.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.finetune.training.job import TrainingJob

WINDOW = 0.9
"""Weight of what was before in the mean speed, which the time to the end is told from."""


@dataclass(frozen=True, slots=True)
class Line:
    """One step that is done."""

    step: int
    steps: int
    epoch: float
    loss: float
    tokens: int
    """Tokens seen since the training's first step, filling left out."""
    tokens_per_second: float
    learning_rate: float
    grad_norm: float
    time: float
    """Seconds since 1970."""
    eta: float
    """Seconds to the last step at the mean speed."""


class Progress:
    """Writes what is told, from one process.

    Args:
        job: The training.
        steps: Its steps in all.
        tokens: Tokens that were seen before this process.
    """

    def __init__(self, job: TrainingJob, steps: int, tokens: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._job, self._steps, self.tokens = job, steps, tokens
        self._board = SummaryWriter(str(job.folder / "tensorboard"))
        self._last = time.monotonic()
        self._mean: float | None = None

    def step(
        self, number: int, epoch: float, tokens: int, figures: dict[str, float]
    ) -> Line:  # fmt: skip
        """Tell of a step.

        Args:
            number: How many are done with it.
            epoch: Passes over the documents.
            tokens: Of this step.
            figures: `loss`, `learning_rate`, `grad_norm`.
        """
        now = time.monotonic()
        took, self._last = max(1e-9, now - self._last), now
        self._mean = took if self._mean is None else WINDOW * self._mean + (1 - WINDOW) * took
        self.tokens += tokens
        line = Line(
            number, self._steps, round(epoch, 6), figures["loss"], self.tokens, tokens / took,
            figures["learning_rate"], figures["grad_norm"], time.time(),
            self._mean * (self._steps - number),
        )  # fmt: skip
        self._append("progress.jsonl", asdict(line))
        self._metrics("train", line.step, figures | {"tokens_per_second": line.tokens_per_second})
        self._prometheus(line)
        return line

    def evaluation(self, step: int, loss: float) -> None:
        """Tell of the loss on what is held out."""
        self._metrics("eval", step, {"loss": loss})
        self._last = time.monotonic()

    def checkpoint(self) -> None:
        """Leave the time that writing one took out of the next step's speed."""
        self._last = time.monotonic()

    def close(self) -> None:
        self._board.close()

    def _metrics(self, part: str, step: int, figures: dict[str, float]) -> None:
        told = {"step": step, "part": part, "time": time.time(), **figures}
        self._append("metrics.jsonl", told)
        for name, value in figures.items():
            self._board.add_scalar(f"{part}/{name}", value, step)

    def _append(self, name: str, document: dict[str, Any]) -> None:
        with (self._job.folder / name).open("a") as file:
            file.write(json.dumps(document) + "\n")

    def _prometheus(self, line: Line) -> None:
        from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

        registry = CollectorRegistry()
        told = {
            "step": (line.step, "Steps done"), "steps": (line.steps, "Steps in all"),
            "loss": (line.loss, "Loss of the last step"),
            "tokens": (line.tokens, "Tokens seen"),
            "tokens_per_second": (line.tokens_per_second, "Tokens of the last step by its time"),
            "learning_rate": (line.learning_rate, "Learning rate of the last step"),
            "grad_norm": (line.grad_norm, "Norm of the gradients before clipping"),
            "eta_seconds": (line.eta, "Seconds to the last step"),
            "updated": (line.time, "When this was written, seconds since 1970"),
        }  # fmt: skip
        for name, (value, meaning) in told.items():
            gauge = Gauge(f"llmops_finetune_{name}", meaning, ["name"], registry=registry)
            gauge.labels(self._job.name).set(value)
        write_to_textfile(str(self._job.folder / "metrics.prom"), registry)


def first_tokens(folder: Path, step: int) -> int:
    """Tokens that were seen when a step was done, from the lines of an attempt before."""
    seen = 0
    try:
        for text in (folder / "progress.jsonl").read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the kill fell into this line
            if line["step"] == step:
                seen = int(line["tokens"])
    except OSError:
        return 0
    return seen
