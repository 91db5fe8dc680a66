"""Every way of training that a spec allows, its memory, and whether a worker has room. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.finetuning.method import Full, Qlora
from llmops.finetuning.model import FineTune
from llmops.finetuning.planning.model import Line, Option, Settled
from llmops.finetuning.planning.room import Room
from llmops.finetuning.planning.settling import Batch, batches, setup_of
from llmops.planning.architecture import Profile
from llmops.planning.training import DType, TrainingMemory, TrainingSetup, training_memory

AUTO: tuple[Settled, ...] = ("ddp", "fsdp")
"""What `strategy: auto` tries, in this order: what is divided less is exchanged less."""

NAMES = {
    "weights": "parameters",
    "adapters": "adapters",
    "gradients": "gradients",
    "optimiser": "optimiser",
    "master_weights": "master_weights",
    "activations": "activations",
    "exchange": "buckets",
}
"""Our words for the lines that the planner of training works out, and its own."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training, worked out."""

    strategy: Settled
    checkpointing: bool
    batch: Batch
    lines: tuple[Line, ...]
    memory: TrainingMemory

    @property
    def bytes(self) -> int:
        """Of one worker, its process included."""
        return sum(line.bytes for line in self.lines)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was tried, and the first that fits."""

    chosen: Way | None
    nearest: Way
    """The one that takes least, for a refusal's arithmetic."""
    options: tuple[Option, ...]


def weigh(spec: FineTune, profile: Profile, room: Room, dtype: DType) -> Weighed:
    """Try each strategy, without and with checkpointing, with the largest micro batch for it.

    Raises:
        RefusedError: When the model cannot be trained so on any machine.
    """
    ways: list[Way] = []
    chosen: Way | None = None
    for strategy in _strategies(spec):
        for checkpointing in _checkpointing(spec):
            way = _largest(spec, profile, room, dtype, strategy, checkpointing)
            ways.append(way)
            chosen = chosen or (way if way.bytes <= room.bytes else None)
    options = tuple(
        Option(
            strategy=way.strategy,
            checkpointing=way.checkpointing,
            micro_batch=way.batch.micro,
            bytes=way.bytes,
            fits=way.bytes <= room.bytes,
            chosen=way is chosen,
        )
        for way in ways
    )
    return Weighed(chosen, min(ways, key=lambda way: way.bytes), options)


def _strategies(spec: FineTune) -> tuple[Settled, ...]:
    asked = spec.training.strategy
    if asked != "auto":
        return (asked,)
    dividing = spec.training.workers > 1 and not isinstance(spec.method, Qlora)
    return AUTO if dividing else AUTO[:1]


def _checkpointing(spec: FineTune) -> tuple[bool, ...]:
    asked = spec.training.gradient_checkpointing
    return (False, True) if asked == "auto" else (asked,)


def _largest(
    spec: FineTune,
    profile: Profile,
    room: Room,
    dtype: DType,
    strategy: Settled,
    checkpointing: bool,
) -> Way:
    """With the largest micro batch that has room enough; with the smallest where none has."""
    way: Way | None = None
    for batch in batches(spec):
        setup = setup_of(spec, strategy, dtype, checkpointing=checkpointing, micro=batch.micro)
        memory = training_memory(profile, setup)
        lines = _lines(spec, profile, setup, memory, room)
        way = Way(strategy, checkpointing, batch, lines, memory)
        if way.bytes <= room.ample:
            break
    assert way is not None  # noqa: S101 - a step has at least one way to be cut
    return way


def _lines(
    spec: FineTune, profile: Profile, setup: TrainingSetup, memory: TrainingMemory, room: Room
) -> tuple[Line, ...]:
    lines = [
        Line(name, int(getattr(memory, theirs).value), getattr(memory, theirs).reason)
        for name, theirs in NAMES.items()
    ]
    higher = max((memory.logits, memory.working), key=lambda figure: int(figure.value))
    lines.append(Line("peak", int(higher.value), f"at the worst moment: {higher.reason}"))
    if spec.preference and isinstance(spec.method, Full):
        held = profile.parameters * setup.element
        words = f"{profile.parameters:,} parameters x {setup.element} bytes of the base beside it"
        lines.append(Line("reference", held, f"{words}, which pairs are compared by"))
    if room.process:
        words = "Python with torch, transformers, peft, trl and Ray, measured"
        lines.append(Line("process", room.process, words))
    return tuple(line for line in lines if line.bytes or line.name in ("weights", "gradients"))


__all__ = ["Way", "Weighed", "weigh"]
