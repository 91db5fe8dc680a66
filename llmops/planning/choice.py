"""Which of the layouts is taken, and what was weighed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.layout import Shape, asked_tensor, check_gpus, gpus_free, shapes
from llmops.planning.model import Facts, Option
from llmops.planning.remedies import no_memory
from llmops.planning.sizing import Size, deal
from llmops.planning.subject import Subject
from llmops.spec import Deployment
from llmops.units import Bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """The layout that is taken with its memory, all that were weighed, and why this one."""

    size: Size
    options: tuple[Option, ...]
    reason: str


def choose(deployment: Deployment, facts: Facts, subject: Subject) -> Choice:
    """Take the layout that is asked for, else the smallest that holds the model.

    Raises:
        Refusal: When it does not fit, or none does.
    """
    sizes = [
        deal(deployment, facts, subject, shape)
        for shape in shapes(deployment, facts, subject)
    ]  # fmt: skip
    candidates, reason = _candidates(deployment, sizes)
    enough = [size for size in candidates if _enough(deployment, facts, size.shape)]
    if not enough:
        check_gpus(deployment, facts, candidates[0].shape)
    taken = next((size for size in enough if size.fits), None)
    if taken is None:
        raise no_memory(deployment, facts, subject, enough[-1])
    options = tuple(_option(deployment, facts, size, taken) for size in sizes)
    if not reason:
        tensor = taken.shape.tensor
        reason = "one GPU holds it" if tensor == 1 else f"{tensor} GPUs hold what fewer do not"
    return Choice(taken, options, reason)


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


def _option(deployment: Deployment, facts: Facts, size: Size, taken: Size) -> Option:
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
        pipeline=1,
        fits=size.fits and enough,
        chosen=size is taken,
        per_device_bytes=size.per_shard,
        reason=reason,
    )
