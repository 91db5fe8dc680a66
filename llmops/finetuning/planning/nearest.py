"""What would fit where something does not: changes to the spec, tried by planning anew. Pure.

The changes have a cost each, by how much of the wish they give up; what a user reads is the
cheapest set of them with which the plan exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from pydantic import ValidationError

from llmops.errors import RefusedError
from llmops.finetuning.contradictions import find_contradictions
from llmops.finetuning.method import Lora, Qlora
from llmops.finetuning.model import FineTune
from llmops.finetuning.planning.model import TrainingPlan
from llmops.finetuning.training_rules import groups
from llmops.planning import MachineFacts
from llmops.units import Bytes

Changes = Mapping[str, object]
"""Dotted paths of the spec, and the values to set them to."""

MOST_TOGETHER = 3
"""Changes that are suggested at once."""

SHORTEST = 128
"""Tokens of a sequence below which no suggestion goes."""

FEW = 8
"""Workers up to which every number is tried; above, those that divide what was asked for. With each
of a thousand, what fits would be looked for in millions of sets."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that might help."""

    cost: int
    changes: Changes


def advised(
    refusal: RefusedError,
    spec: FineTune,
    plan: Callable[[FineTune], TrainingPlan],
    machine: MachineFacts,
) -> RefusedError:
    """What to raise instead of `refusal`: it with the nearest setup that fits."""
    every = [Change(1, refusal.changes)] if refusal.changes else []
    every += _candidates(spec, machine)
    together = [
        chosen
        for count in range(1, MOST_TOGETHER + 1)
        for chosen in combinations(every, count)
        if not _overlap(chosen)
    ]
    for chosen in sorted(together, key=lambda some: sum(one.cost for one in some)):
        changes = {path: value for one in chosen for path, value in one.changes.items()}
        changed = changed_by(spec, changes)
        if changed is None or changed == spec:
            continue
        try:
            fits = plan(changed)
        except RefusedError:
            continue
        return RefusedError(
            refusal.message,
            hint=f"{_words(changes)}: {Bytes(int(fits.per_worker.value)).human()} of"
            f" {Bytes(int(fits.room.value)).human()} for each of {fits.workers} worker(s)",
            path=refusal.path,
            changes=changes,
        )
    return RefusedError(refusal.message, hint=refusal.hint, path=refusal.path)


def changed_by(spec: FineTune, changes: Changes) -> FineTune | None:
    """The spec with `changes` made; None when that is no spec, or contradicts itself."""
    document = spec.model_dump()
    for path, value in changes.items():
        section = document
        *inside, field = path.split(".")
        for step in inside:
            section = section[step]
        section[field] = value
    if "method.kind" in changes and document["method"].keys() != {"kind"}:
        document["method"] = {"kind": changes["method.kind"]}
        if isinstance(spec.method, Lora):
            document["method"] |= spec.method.model_dump(exclude={"kind"})
    try:
        changed = FineTune.model_validate(document)
    except ValidationError:
        return None
    return None if any(find_contradictions(changed, lambda _: False)) else changed


def _overlap(chosen: tuple[Change, ...]) -> bool:
    """Whether two changes are of one field."""
    paths = [path for one in chosen for path in one.changes]
    return len(paths) != len(set(paths))


def _candidates(spec: FineTune, machine: MachineFacts) -> Iterator[Change]:
    training = spec.training
    if isinstance(training.micro_batch, int) and training.micro_batch > 1:
        yield Change(1, {"training.micro_batch": "auto"})
    if training.gradient_checkpointing is False:
        yield Change(2, {"training.gradient_checkpointing": True})
    if spec.hardware.memory != "auto":
        yield Change(2, {"hardware.memory": "auto"})
    if training.strategy == "ddp" and training.workers > 1:
        yield Change(3, {"training.strategy": "fsdp"})
    elif training.strategy not in ("auto", "ddp", "fsdp"):
        cut = {"training.strategy": "fsdp", "training.tensor": 1, "training.pipeline": 1}
        yield Change(3, cut)
    yield from _workers(spec, machine)
    gpu = bool(machine.gpus) and spec.hardware.device != "cpu"
    if spec.method.kind == "full":
        lora: dict[str, object] = {"method.kind": "lora"}
        if training.strategy in ("tensor", "pipeline"):
            lora |= {"training.strategy": "auto", "training.tensor": 1, "training.pipeline": 1}
        yield Change(6, lora)
    if gpu and not isinstance(spec.method, Qlora):
        qlora: dict[str, object] = {"method.kind": "qlora"}
        if training.strategy not in ("auto", "ddp"):
            qlora |= {"training.strategy": "ddp", "training.tensor": 1, "training.pipeline": 1}
        yield Change(8, qlora)
    yield from _shorter(spec)


def _workers(spec: FineTune, machine: MachineFacts) -> Iterator[Change]:
    """More workers that divide, where each has a GPU; fewer, where they share a memory."""
    training = spec.training
    gpu = bool(machine.gpus) and spec.hardware.device != "cpu"
    cut = training.strategy if training.strategy in ("tensor", "pipeline") else ""
    more = range(training.workers + 1, len(machine.gpus) + 1)
    fewer = (
        count
        for count in range(min(training.workers - 1, machine.cores), 0, -1)
        if count <= FEW or training.workers % count == 0
    )
    for number, workers in enumerate(more if gpu else fewer):
        changes: dict[str, object] = {"training.workers": workers}
        if cut:
            changes[f"training.{cut}"] = workers
        elif gpu and training.strategy == "ddp" and not isinstance(spec.method, Qlora):
            changes["training.strategy"] = "fsdp"
        elif workers == 1 and training.strategy not in ("auto", "ddp"):
            changes["training.strategy"] = "auto"
        if training.sequence * workers > training.tokens_per_step and not cut:
            changes["training.tokens_per_step"] = training.sequence * workers
        yield Change(4 + min(number, 3), changes)


def _shorter(spec: FineTune) -> Iterator[Change]:
    """Half the sequence, and half of that; a step keeps its tokens."""
    sequence, cost = spec.training.sequence // 2, 5
    longest = spec.data.filters.max_tokens
    while sequence >= SHORTEST:
        changes: dict[str, object] = {"training.sequence": sequence}
        if longest is not None and longest > sequence:
            changes["data.filters.max_tokens"] = sequence
        micro = spec.training.micro_batch
        if isinstance(micro, int) and micro * sequence * groups(spec) > (
            spec.training.tokens_per_step
        ):
            changes["training.micro_batch"] = "auto"
        yield Change(cost, changes)
        sequence, cost = sequence // 2, cost + 2


def _words(changes: Changes) -> str:
    """What to do."""
    parts = [f"{path} to {_word(value)}" for path, value in changes.items()]
    joined = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"set {joined}"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ["advised", "changed_by"]
