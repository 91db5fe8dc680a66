"""What one training is: every choice already made, as values that survive JSON.

Whoever plans fills it in; nothing here is `auto`. It refuses what contradicts itself before a
process is started, with the field's name. It says nothing of the files that it names: whether they
are there is seen when the training starts.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from llmops.errors import InputError, RefusedError

Method = Literal["full", "lora", "qlora"]
Strategy = Literal[
    "ddp", "fsdp", "deepspeed-zero1", "deepspeed-zero2", "deepspeed-zero3", "tensor", "pipeline"
]
Precision = Literal["float32", "bfloat16", "float16"]
Schedule = Literal["cosine", "linear", "constant"]
Objective = Literal["sft", "dpo"]

ALL_LINEAR = "all-linear"
"""peft's word for every linear layer but the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training, from its base and data to where its files go.

    Raises:
        InputError: When it contradicts itself.
        RefusedError: When it asks for what is not offered.
    """

    name: str
    """Whose it is, in metrics and logs."""
    base: str
    """Absolute path of a folder of safetensors and a tokenizer."""
    data: str
    """Absolute path of a prepared folder: `train.parquet`, `eval.parquet`, `manifest.json`."""
    out: str
    """Absolute path of the run's folder."""
    method: Method = "lora"
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    """Share of an adapter's inputs that are dropped while training."""
    targets: tuple[str, ...] = (ALL_LINEAR,)
    """Layers that get adapters: ends of names, or `all-linear`."""
    strategy: Strategy = "ddp"
    workers: int = 1
    tensor: int = 1
    """Workers that share each layer."""
    pipeline: int = 1
    """Workers that each hold some of the layers."""
    cores: int | None = None
    """CPU cores that compute in one worker; None shares the machine's."""
    precision: Precision = "float32"
    """What is computed in. Weights that are trained, and the optimiser's states, stay float32."""
    gradient_checkpointing: bool = False
    packing: bool = True
    sequence: int = 2048
    """Most tokens of a row."""
    micro_batch: int = 1
    """Rows that pass a worker at once."""
    accumulation: int = 1
    """Micro batches of a worker before a step."""
    learning_rate: float = 2e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Norm that gradients are clipped to; 0 clips nothing."""
    epochs: float | None = None
    steps: int | None = None
    """Exactly one of `epochs` and `steps`."""
    seed: int = 17
    save_every: int = 100
    """Steps between checkpoints; the last step has one always."""
    keep: int = 2
    """Checkpoints that are kept."""
    eval_every: int = 0
    """Steps between evaluations of the loss; 0: at the end only, where something is held out."""
    objective: Objective = "sft"
    beta: float = 0.1
    """Of `dpo`: how strongly the base holds it back (Rafailov et al., 2023)."""

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise InputError(f"training job {self.name!r}: {problem}")
        refusal = next(_refusals(self), None)
        if refusal:
            raise RefusedError(refusal[0], hint=refusal[1])

    @property
    def copies(self) -> int:
        """Workers that see different rows: the data parallel size."""
        return self.workers // (self.tensor * self.pipeline)

    @property
    def rows_per_step(self) -> int:
        return self.micro_batch * self.accumulation * self.copies

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.out)

    def to_json(self) -> str:
        """As `job.json` holds it."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def job_from_json(text: str, where: str = "job.json") -> TrainingJob:
    """Read what `to_json` wrote.

    Raises:
        InputError: When it is not such a text; with the field.
        RefusedError: When it asks for what is not offered.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: expected JSON, found {error}") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{where}: expected an object, found {type(found).__name__}")
    known = {field.name: field for field in dataclasses.fields(TrainingJob)}
    strange = sorted(set(found) - set(known))
    missing = sorted(
        name for name, field in known.items() if field.default is dataclasses.MISSING
    )  # fmt: skip
    absent = [name for name in missing if name not in found]
    if strange or absent:
        raise InputError(
            f"{where}: expected the fields of a training job, found"
            f" {', '.join(strange) or 'none'} that it does not know,"
            f" and without {', '.join(absent) or 'none'}"
        )
    values: dict[str, Any] = dict(found)
    if isinstance(values.get("targets"), list):
        values["targets"] = tuple(values["targets"])
    return TrainingJob(**values)


_WORDS = {
    "method": Method, "strategy": Strategy, "precision": Precision, "schedule": Schedule,
    "objective": Objective,
}  # fmt: skip
_COUNTS = (
    "rank", "alpha", "workers", "tensor", "pipeline", "sequence", "micro_batch", "accumulation",
    "save_every", "keep",
)  # fmt: skip


def _problems(job: TrainingJob) -> Iterator[str]:
    for name in ("base", "data", "out"):
        found = getattr(job, name)
        if not isinstance(found, str) or not found.startswith("/"):
            yield f"{name}: expected an absolute path, found {found!r}"
    for name, known in _WORDS.items():
        if getattr(job, name) not in get_args(known):
            words = ", ".join(get_args(known))
            yield f"{name}: expected one of {words}, found {getattr(job, name)!r}"
    for name in _COUNTS:
        if not _whole(found := getattr(job, name)):
            yield f"{name}: expected a whole number from 1, found {found!r}"
    yield from _figures(job)
    yield from _sizes(job)


def _figures(job: TrainingJob) -> Iterator[str]:
    shares = {"dropout": 0.99, "warmup": 1.0}
    for name, most in shares.items():
        if not _number(found := getattr(job, name)) or not 0 <= found <= most:
            yield f"{name}: expected a share from 0 to {most}, found {found!r}"
    for name in ("learning_rate", "beta"):
        if not _number(found := getattr(job, name)) or found <= 0:
            yield f"{name}: expected a number above 0, found {found!r}"
    for name in ("weight_decay", "clip", "eval_every", "seed"):
        if not _number(found := getattr(job, name)) or found < 0:
            yield f"{name}: expected a number from 0, found {found!r}"
    if (job.epochs is None) == (job.steps is None):
        yield "expected one of epochs and steps, found " + ("none" if job.steps is None else "both")
    for name in ("cores", "steps"):
        if (found := getattr(job, name)) is not None and not _whole(found):
            yield f"{name}: expected a whole number from 1, found {found!r}"
    if job.epochs is not None and (not _number(job.epochs) or job.epochs <= 0):
        yield f"epochs: expected a number above 0, found {job.epochs!r}"


def _sizes(job: TrainingJob) -> Iterator[str]:
    if job.sequence < 2:
        yield f"sequence: expected 2 at least, a token and the one before it, found {job.sequence}"
    if job.workers % (job.tensor * job.pipeline):
        yield f"workers: expected a multiple of tensor x pipeline, found {job.workers}"
    for name in ("tensor", "pipeline"):
        if (getattr(job, name) > 1) != (job.strategy == name):
            found = getattr(job, name)
            yield f"{name}: expected above 1 with strategy {name}, 1 with any other, found {found}"
    targets: tuple[object, ...] = job.targets
    if not targets or not all(isinstance(one, str) and one for one in targets):
        yield f"targets: expected names of layers, found {job.targets!r}"


def _refusals(job: TrainingJob) -> Iterator[tuple[str, str]]:
    """What is not offered, and another way."""
    if job.strategy not in ("tensor", "pipeline"):
        return
    group = job.tensor * job.pipeline
    told = f"strategy {job.strategy}"
    if job.copies > 1:
        beside = f"{job.workers} workers in groups of {group} would train {job.copies} copies"
        hint = f"set workers to {group}, or strategy to fsdp"
        yield f"{told}: {beside} beside each other, which is not offered", hint
    if job.objective == "dpo":
        yield f"{told} does not train on preference pairs", "set strategy to ddp"
    if job.method != "full":
        hint = "set method to full, or strategy to fsdp"
        yield f"{told} trains every weight; adapters of divided layers are not offered", hint


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)
