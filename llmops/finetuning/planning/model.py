"""The words of a training's plan: what was looked up, and what will run and why. Values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from llmops.planning import Figure, MachineFacts, ModelFacts

Settled = Literal[
    "ddp", "fsdp", "deepspeed-zero1", "deepspeed-zero2", "deepspeed-zero3", "tensor", "pipeline"
]
"""A strategy that is no longer `auto`."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What prepared data holds, as its manifest counts it."""

    rows: int
    """Rows that are learnt from; pairs, where these are preference pairs."""
    tokens: int
    """Tokens of these rows in all."""
    longest: int
    """Tokens of the longest."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a training like this was."""

    tokens_per_second: float
    source: str
    """Where that was seen, such as `run 3 of support-style`."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What is known of base, machine and data before anything is started."""

    model: ModelFacts
    machine: MachineFacts
    counts: Counts | None = None
    """None where the data has not been prepared yet."""
    speed: Speed | None = None
    """None where nothing like it has run."""


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a worker's memory."""

    name: str
    """Stable: `weights`, `adapters`, `gradients`, `optimiser`, `master_weights`, `activations`,
    `peak`, `exchange`, `reference`, `process`."""
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Option:
    """A way of training that was weighed."""

    strategy: str
    checkpointing: bool
    micro_batch: int
    bytes: int
    """Of one worker."""
    fits: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class PlannedBase:
    """The model that is trained further."""

    source: str
    revision: str
    """What pins it: a commit, or the digest of its files."""
    parameters: Figure
    trainable: Figure


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What will run, and why. Nothing in it is `auto`."""

    name: str
    identity: str
    """Digest of what was asked and of the base; what the files of the data hold is not in it."""
    model: PlannedBase
    method: str
    device: Literal["cpu", "gpu"]
    strategy: Settled
    strategy_reason: str
    workers: int
    tensor: int
    pipeline: int
    cores: Figure
    """CPU cores that compute in one worker."""
    precision: Figure
    """`float32`, `bfloat16` or `float16`."""
    gradient_checkpointing: bool
    checkpointing_reason: str
    packing: bool
    sequence: int
    micro_batch: Figure
    """Sequences, or pairs, that pass a worker at once."""
    accumulation: Figure
    """Micro batches of a worker before the weights change."""
    tokens_per_step: Figure
    """Tokens of all workers before the weights change, as sequences and workers divide it."""
    learning_rate: Figure
    steps: Figure | None
    """Steps in all; None where only prepared data can tell."""
    save_every: int
    keep: int
    evaluate_every: int
    """Steps between two measurements of the loss of what is held out; 0 where nothing is."""
    seconds: Figure | None
    """Time of the training; None where nothing like it has been seen to run."""
    memory: tuple[Line, ...]
    """Of one worker."""
    per_worker: Figure
    """Bytes of one worker in all."""
    room: Figure
    """Bytes that one worker may take."""
    total: Figure
    """Bytes of all workers and of what runs beside them."""
    disk: Figure
    """Bytes of disk: what is fetched, checkpoints and the result."""
    options: tuple[Option, ...]
    notes: tuple[str, ...]


def plan_document(plan: TrainingPlan) -> dict[str, Any]:
    """A plan as plain data with stable keys: what `llmops plan -o json` prints."""
    return {"kind": "TrainingPlan", **asdict(plan)}


__all__ = [
    "Counts", "Line", "Option", "PlannedBase", "Settled", "Speed", "TrainingFacts", "TrainingPlan",
    "plan_document",
]  # fmt: skip
