"""Which of the layouts is taken, and what was weighed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.layout import (
    Shape,
    asked_stages,
    asked_tensor,
    check_gpus,
    gpus_free,
    parallelism,
    shapes,
)
from llmops.planning.model import Facts, Option
from llmops.planning.remedies import no_memory
from llmops.planning.sizing import Size, deal
from llmops.planning.spanning import spread
from llmops.planning.subject import Subject
from llmops.spec import Deployment
from llmops.units import Bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """The layout that is taken with its memory, all that were weighed, and why this one."""

    size: Size
    options: tuple[Option, ...]
    reason: str
    facts: Facts
    """As the layout sees them: of a replica over several machines, what its stages have."""


def choose(deployment: Deployment, facts: Facts, subject: Subject) -> Choice:
    """Take the layout that is asked for, else the smallest that holds the model: on one machine
    where one does, else of as few stages as there must be.

    Raises:
        Refusal: When it does not fit, or none does.
    """
    stages = asked_stages(deployment)
    if stages > 1:
        facts = spread(deployment, facts, subject, stages)
    sizes = _sizes(deployment, facts, subject, stages)
    if not _held(facts, sizes):
        weighed = tuple(_option(deployment, facts, size, None) for size in sizes)
        for more in _further(deployment, facts, subject, sizes[0]):
            there = spread(deployment, facts, subject, more)
            found = _sizes(deployment, there, subject, more)
            if _held(there, found):
                return _chosen(deployment, there, subject, found, weighed)
    return _chosen(deployment, facts, subject, sizes)


def _held(facts: Facts, sizes: list[Size]) -> bool:
    """Whether there is a layout that the GPUs hold, were none of them taken."""
    gpus = len(facts.machine.gpus)
    return any(
        size.fits and (size.shape.device == "cpu" or size.shape.shards <= gpus) for size in sizes
    )


def _sizes(deployment: Deployment, facts: Facts, subject: Subject, stages: int) -> list[Size]:
    return [
        deal(deployment, facts, subject, shape)
        for shape in shapes(deployment, facts, subject, stages)
    ]  # fmt: skip


def _further(deployment: Deployment, facts: Facts, subject: Subject, size: Size) -> range:
    """Stages to try where no machine holds it alone: none where a layout is asked for, or on CPUs,
    whose memory others take and give back."""
    asked = parallelism(deployment) is not None or asked_tensor(deployment) is not None
    if asked or size.shape.device == "cpu":
        return range(0)
    return range(2, min(len(facts.machine.shares), subject.cuts.stages) + 1)


def _chosen(
    deployment: Deployment,
    facts: Facts,
    subject: Subject,
    sizes: list[Size],
    weighed: tuple[Option, ...] = (),
) -> Choice:
    candidates, reason = _candidates(deployment, sizes)
    enough = [size for size in candidates if _enough(deployment, facts, size.shape)]
    if not enough:
        check_gpus(deployment, facts, candidates[0].shape)
    taken = next((size for size in enough if size.fits), None)
    if taken is None:
        raise no_memory(deployment, facts, subject, enough[-1])
    options = (*weighed, *(_option(deployment, facts, size, taken) for size in sizes))
    if not reason:
        reason = _reason(taken.shape)
    return Choice(taken, options, reason, facts)


def _reason(shape: Shape) -> str:
    if shape.pipeline > 1:
        return (
            f"{shape.pipeline} machines with {shape.tensor} GPU(s) each hold what fewer do not:"
            " tensor parallel inside a machine, stages between them"
        )
    return (
        "one GPU holds it" if shape.tensor == 1 else f"{shape.tensor} GPUs hold what fewer do not"
    )


def _candidates(deployment: Deployment, sizes: list[Size]) -> tuple[list[Size], str]:
    """The layouts to take one of, the first that fits; and why, where that is known already."""
    asked = asked_tensor(deployment)
    if asked is not None:
        return [size for size in sizes if size.shape.tensor == asked[0]], "as asked"
    if sizes[0].shape.device == "cpu":
        return sizes[:1], "one shard: more would share the same cores and memory"
    return sizes, ""


def _enough(deployment: Deployment, facts: Facts, shape: Shape) -> bool:
    return shape.device == "cpu" or shape.shards <= gpus_free(deployment, facts)


def _option(deployment: Deployment, facts: Facts, size: Size, taken: Size | None) -> Option:
    shape, enough = size.shape, _enough(deployment, facts, size.shape)
    share = Bytes(max(0, size.room.bytes // shape.shards)).human()
    reason = f"{Bytes(size.per_shard).human()} of {share} for each of {shape.shards} shard(s)"
    if not enough:
        free = max(0, gpus_free(deployment, facts))
        reason = f"needs {shape.shards} GPUs, and {free} are free"
    elif size.kv <= size.left and not size.fits:
        reason = f"its KV cache holds {size.longest} tokens, and the context is {size.context}"
    return Option(
        tensor=shape.tensor,
        pipeline=shape.pipeline,
        fits=size.fits and enough,
        chosen=size is taken,
        per_device_bytes=size.per_shard,
        reason=reason,
    )
