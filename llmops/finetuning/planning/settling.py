"""What `auto` stands for, and how a step is cut into what passes a worker at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from llmops.errors import RefusedError
from llmops.finetuning.method import ALL_LINEAR, Full, Lora
from llmops.finetuning.model import FineTune
from llmops.finetuning.training_rules import groups
from llmops.planning import Figure, MachineFacts
from llmops.planning.training import DType, Strategy, TrainingSetup

RATES = {"full": 2e-5, "lora": 2e-4, "qlora": 2e-4}
"""Learning rates: of all weights, Touvron et al., "Llama 2", 2023, section 3.1; of adapters,
Dettmers et al., "QLoRA", 2023, table 9."""

WORDS: dict[str, Strategy] = {
    "ddp": "ddp", "fsdp": "fsdp", "tensor": "tensor", "pipeline": "pipeline",
    "deepspeed-zero1": "zero1", "deepspeed-zero2": "zero2", "deepspeed-zero3": "zero3",
}  # fmt: skip
"""The planner's words for strategies."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A step: how many sequences a worker has of it, and how many pass it at once."""

    micro: int
    accumulation: int


def learning_rate(spec: FineTune) -> Figure:
    """The learning rate, settled."""
    asked = spec.training.learning_rate
    if asked != "auto":
        return Figure(asked, "training.learning_rate")
    rate, whose = RATES[spec.method.kind], "Llama 2" if spec.method.kind == "full" else "QLoRA"
    words = f"usual for the method {spec.method.kind} (the {whose} paper)"
    if spec.preference:
        return Figure(rate / 10, f"a tenth of what is {words}, for preference pairs")
    return Figure(rate, words)


def precision(spec: FineTune, device: str) -> Figure:
    """The number format that is computed in, settled.

    Raises:
        RefusedError: When no CPU trains in the one that was asked for.
    """
    asked, strategy = spec.training.precision, spec.training.strategy
    zero = strategy.startswith("deepspeed") and asked == "bfloat16"
    if device == "cpu" and (asked == "float16" or zero):
        words = f"{asked}{f' with {strategy}' if zero else ''}"
        raise RefusedError(
            f"{words} is computed on a GPU, and this training has none",
            hint="set training.precision to auto", path="training.precision",
            changes={"training.precision": "auto"},
        )  # fmt: skip
    if asked != "auto":
        return Figure(asked, "training.precision")
    if device == "gpu":
        return Figure("bfloat16", "GPUs compute it faster, and it has the range of float32")
    return Figure("float32", "most CPUs compute nothing smaller any faster")


def cores(spec: FineTune, machine: MachineFacts) -> Figure:
    """CPU cores that compute in one worker."""
    asked = spec.hardware.cores
    if asked != "auto":
        return Figure(asked, "hardware.cores")
    each = max(1, machine.cores // spec.training.workers)
    return Figure(each, f"{machine.cores} cores over {spec.training.workers} worker(s)")


def pairs(spec: FineTune) -> int:
    """Sequences that one row of a batch is: two, of a preference pair."""
    return 2 if spec.preference else 1


def of_a_step(spec: FineTune) -> int:
    """Rows of a step that one worker learns from: the nearest that divides what is asked."""
    training = spec.training
    each = training.sequence * pairs(spec) * groups(spec)
    return max(1, round(training.tokens_per_step / each))


def batches(spec: FineTune) -> list[Batch]:
    """The ways to cut a step, the largest micro batch first."""
    rows, asked = of_a_step(spec), spec.training.micro_batch
    if asked != "auto":
        return [Batch(asked, max(1, round(rows / asked)))]
    small = [one for one in range(1, isqrt(rows) + 1) if rows % one == 0]
    divisors = {*small, *(rows // one for one in small)}
    return [Batch(micro, rows // micro) for micro in sorted(divisors, reverse=True)]


def setup_of(
    spec: FineTune, strategy: str, dtype: DType, *, checkpointing: bool, micro: int
) -> TrainingSetup:
    """The planner's words for one way of training."""
    method = spec.method
    targets: tuple[str, ...] = (ALL_LINEAR,)
    if isinstance(method, Lora) and isinstance(method.targets, tuple):
        targets = method.targets
    return TrainingSetup(
        method=method.kind,
        sequence=spec.training.sequence,
        micro_batch=micro * pairs(spec),
        dtype=dtype,
        checkpointing=checkpointing,
        strategy=WORDS[strategy],
        devices=spec.training.workers,
        rank=16 if isinstance(method, Full) else method.rank,
        targets=targets,
    )


__all__ = [
    "Batch", "batches", "cores", "learning_rate", "of_a_step", "pairs", "precision", "setup_of",
]  # fmt: skip
