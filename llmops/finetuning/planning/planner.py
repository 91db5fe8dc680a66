"""The plan of a training: what will run, what fits, and why. Pure: from a spec and facts to a plan.

What cannot work is refused here with the arithmetic, instead of by a killed process minutes later.
Every suggestion in a refusal has been planned with, so that following it fits.
"""

from __future__ import annotations

import math

from llmops.errors import RefusedError
from llmops.finetuning.method import Full
from llmops.finetuning.model import FineTune
from llmops.finetuning.planning.model import PlannedBase, TrainingFacts, TrainingPlan
from llmops.finetuning.planning.nearest import advised
from llmops.finetuning.planning.notes import notes_of
from llmops.finetuning.planning.room import BESIDE, Room, room_of
from llmops.finetuning.planning.settling import (
    cores,
    learning_rate,
    pairs,
    precision,
)
from llmops.finetuning.planning.weighing import Way, Weighed, weigh
from llmops.finetuning.training_rules import groups
from llmops.planning import Figure, digest
from llmops.planning.architecture import Profile, read
from llmops.planning.training import DType
from llmops.units import Bytes

OTHER_TASKS = {
    "transduce": "has an encoder beside its decoder",
    "embed": "gives vectors",
    "classify": "gives classes",
}
"""What a model does that does not generate."""


def plan_training(spec: FineTune, facts: TrainingFacts) -> TrainingPlan:
    """Plan a fine-tuning.

    Args:
        spec: What was asked; relative paths in it are of no meaning here.
        facts: What is known of base, machine and data.

    Raises:
        RefusedError: When it cannot run as it is. The message has the arithmetic; the hint, and
            `changes`, the nearest setup that fits, where there is one.
    """
    profile = _profile(facts)
    try:
        return _planned(spec, facts, profile)
    except RefusedError as refusal:
        raise advised(
            refusal, spec, lambda changed: _planned(changed, facts, profile), facts.machine
        ) from refusal


def planned(spec: FineTune, facts: TrainingFacts) -> TrainingPlan:
    """The plan of a fine-tuning, as `plan_training`, without looking for what would fit instead.

    Raises:
        RefusedError: When it cannot run as it is.
    """
    return _planned(spec, facts, _profile(facts))


def _profile(facts: TrainingFacts) -> Profile:
    model = facts.model
    return read(model.config, model.parameters, model.weight_bytes, model.tensors)


def _planned(spec: FineTune, facts: TrainingFacts, profile: Profile) -> TrainingPlan:
    _check(facts, profile)
    room = room_of(spec, facts.machine)
    dtype = precision(spec, room.device)
    weighed = weigh(spec, profile, room, _dtype(dtype))
    if weighed.chosen is None:
        raise _no_memory(spec, weighed, room)
    plan = _assembled(spec, facts, profile, room, weighed, weighed.chosen)
    if int(plan.disk.value) > facts.machine.disk_free:
        raise RefusedError(
            f"it takes {Bytes(int(plan.disk.value)).human()} of disk, and"
            f" {Bytes(facts.machine.disk_free).human()} are free: {plan.disk.reason}",
            hint="keep fewer checkpoints, free some space, or set LLMOPS_HOME to a larger disk",
            path="checkpoints.keep",
        )
    return plan


def _dtype(figure: Figure) -> DType:
    words: dict[str, DType] = {
        "float32": "float32", "bfloat16": "bfloat16", "float16": "float16",
    }  # fmt: skip
    return words[str(figure.value)]


def _check(facts: TrainingFacts, profile: Profile) -> None:
    if profile.task in OTHER_TASKS:
        raise RefusedError(
            f"{profile.name} {OTHER_TASKS[profile.task]}, and this version trains models that"
            " generate text",
            hint="use a model that generates text", path="model.source",
        )  # fmt: skip
    if facts.model.config.get("quantization_config"):
        raise RefusedError(
            f"the weights of {profile.name} are quantised already, and cannot be trained",
            hint="use the copy that is not quantised; method.kind: qlora quantises it itself",
            path="model.source",
        )


def _no_memory(spec: FineTune, weighed: Weighed, room: Room) -> RefusedError:
    way = weighed.nearest
    parts = " + ".join(
        f"{Bytes(line.bytes).human()} {line.name.replace('_', ' ')}"
        for line in way.lines
        if line.bytes
    )
    tried = "" if len(weighed.options) == 1 else f", the least of {len(weighed.options)} ways"
    again = " with gradient checkpointing" if way.checkpointing else ""
    return RefusedError(
        f"it does not fit: {spec.method.kind} by {way.strategy}{again}{tried},"
        f" {way.batch.micro} x {spec.training.sequence} tokens at once, takes {parts} ="
        f" {Bytes(way.bytes).human()} for each of {spec.training.workers} worker(s), and each may"
        f" take {Bytes(room.bytes).human()}: {room.reason}",
        hint="use a smaller model, or a machine with more memory",
        path="hardware.memory" if room.reason == "hardware.memory" else "training",
    )


def _assembled(
    spec: FineTune,
    facts: TrainingFacts,
    profile: Profile,
    room: Room,
    weighed: Weighed,
    way: Way,
) -> TrainingPlan:
    training, batch = spec.training, way.batch
    tokens = _tokens_per_step(spec, way)
    steps = _steps(spec, facts, way)
    parameters = Figure(profile.parameters, f"counted in {profile.name}")
    held = bool(spec.data.eval or spec.data.split)
    every = training.evaluate_every if training.evaluate_every != "auto" else spec.checkpoints.every
    beside = BESIDE if room.device == "cpu" else 0
    return TrainingPlan(
        name=spec.name,
        identity=_identity(spec, facts),
        model=PlannedBase(
            facts.model.source, facts.model.revision, parameters, way.memory.trainable
        ),
        method=spec.method.kind,
        device=room.device,
        strategy=way.strategy,
        strategy_reason=_why(spec, weighed, way),
        workers=training.workers,
        tensor=training.tensor,
        pipeline=training.pipeline,
        cores=cores(spec, facts.machine),
        precision=precision(spec, room.device),
        gradient_checkpointing=way.checkpointing,
        checkpointing_reason=_why_again(spec, weighed, way),
        packing=training.packing and not spec.preference,
        sequence=training.sequence,
        micro_batch=_micro(spec, way, room),
        accumulation=Figure(
            batch.accumulation,
            f"{batch.accumulation} x {batch.micro} {_rows(spec)} of a worker make a step",
        ),
        tokens_per_step=tokens,
        learning_rate=learning_rate(spec),
        steps=steps,
        save_every=spec.checkpoints.every,
        keep=spec.checkpoints.keep,
        evaluate_every=every if held else 0,
        seconds=_seconds(facts, tokens, steps),
        memory=way.lines,
        per_worker=Figure(way.bytes, " + ".join(line.name for line in way.lines if line.bytes)),
        room=Figure(room.bytes, room.reason),
        total=Figure(
            way.bytes * training.workers + beside,
            f"{training.workers} worker(s) x {Bytes(way.bytes).human()}"
            + (f" + {Bytes(beside).human()} for Ray and the driver" if beside else ""),
        ),
        disk=_disk(spec, facts, profile, way),
        options=weighed.options,
        notes=notes_of(spec, facts, way, room),
    )


def _rows(spec: FineTune) -> str:
    return "pair(s)" if spec.preference else "sequence(s)"


def _micro(spec: FineTune, way: Way, room: Room) -> Figure:
    if spec.training.micro_batch != "auto":
        return Figure(way.batch.micro, "training.micro_batch")
    whole = way.batch.accumulation == 1
    if whole:
        return Figure(way.batch.micro, "a worker's whole part of a step")
    if way.batch.micro == 1:
        return Figure(1, f"more would take above {Bytes(room.ample).human()}")
    words = f"the most that divides a step and takes at most {Bytes(room.ample).human()}"
    return Figure(way.batch.micro, words)


def _why(spec: FineTune, weighed: Weighed, way: Way) -> str:
    if spec.training.strategy != "auto":
        return "training.strategy"
    if spec.training.workers == 1:
        return "one worker holds all: there is nobody to divide with"
    if way.strategy == "ddp":
        return "each worker has the room to hold all, and nothing but gradients is exchanged"
    least = min(one.bytes for one in weighed.options if one.strategy == "ddp")
    return (
        f"ddp, with all on each worker, takes {Bytes(least).human()}; fsdp divides weights,"
        " gradients and the optimiser's states"
    )


def _why_again(spec: FineTune, weighed: Weighed, way: Way) -> str:
    if spec.training.gradient_checkpointing != "auto":
        return "training.gradient_checkpointing"
    if not way.checkpointing:
        return "what the layers keep has room, and to compute it again takes a third more time"
    without = min(
        one.bytes
        for one in weighed.options
        if one.strategy == way.strategy and not one.checkpointing
    )
    return f"without it a worker takes {Bytes(without).human()}"


def _tokens_per_step(spec: FineTune, way: Way) -> Figure:
    training, batch, sharing = spec.training, way.batch, groups(spec)
    each = training.sequence * pairs(spec)
    value = batch.micro * batch.accumulation * each * sharing
    words = f"{sharing} worker(s) x {batch.accumulation} x {batch.micro} x {each} tokens"
    if value != training.tokens_per_step:
        words += f", the nearest to {training.tokens_per_step}"
    return Figure(value, words)


def _steps(spec: FineTune, facts: TrainingFacts, way: Way) -> Figure | None:
    if spec.training.steps is not None:
        return Figure(spec.training.steps, "training.steps")
    counts = facts.counts
    if counts is None:
        return None
    rows, what = counts.rows, f"{counts.rows:,} rows"
    if spec.training.packing and not spec.preference:
        rows = math.ceil(counts.tokens / spec.training.sequence)
        what = f"at least {rows:,} sequences of {counts.tokens:,} tokens"
    each = way.batch.micro * way.batch.accumulation * groups(spec)
    epochs = spec.training.epochs
    return Figure(
        epochs * math.ceil(rows / each), f"{epochs} epoch(s) of {what}, {each} of them in a step"
    )


def _seconds(facts: TrainingFacts, tokens: Figure, steps: Figure | None) -> Figure | None:
    if facts.speed is None or steps is None or facts.speed.tokens_per_second <= 0:
        return None
    rate = facts.speed.tokens_per_second
    return Figure(
        round(int(steps.value) * int(tokens.value) / rate),
        f"{steps.value} steps x {tokens.value} tokens at {rate:.3g} tokens/s of"
        f" {facts.speed.source}",
    )


def _disk(spec: FineTune, facts: TrainingFacts, profile: Profile, way: Way) -> Figure:
    """What is fetched, the checkpoints with one that is being written, and the result."""
    trained = int(way.memory.trainable.value)
    fetched = facts.model.download_bytes * 11 // 10
    one = 12 * trained
    whole = isinstance(spec.method, Full) or spec.output.merge
    result = 4 * (profile.parameters if whole else trained)
    count = spec.checkpoints.keep + 1
    words = (
        f"{count} checkpoints x {Bytes(one).human()} (weights and two moments in float32 of what"
        f" is trained, one being written) + {Bytes(result).human()} of the result"
    )
    if fetched:
        words += f" + {Bytes(fetched).human()} to fetch the base"
    return Figure(fetched + count * one + result, words)


def _identity(spec: FineTune, facts: TrainingFacts) -> str:
    asked = spec.model_dump(mode="json", exclude={"hardware", "eval", "output", "checkpoints"})
    return digest([asked, facts.model.revision])


__all__ = ["plan_training", "planned"]
