"""How much the engine works on at once on this machine, and what that takes. Pure.

On a large GPU vLLM takes larger batches by default, whose activations are memory that the KV cache
could have; where the cache needs it, the smaller batch of smaller GPUs is planned and told to it.
"""

from __future__ import annotations

from llmops.planning import memory
from llmops.planning.layout import Shape
from llmops.planning.memory import BatchDefaults, gpu
from llmops.planning.model import Facts, Plan
from llmops.planning.subject import Subject
from llmops.spec import Deployment


def argument(deployment: Deployment, name: str, default: int) -> int:
    """A whole number among the user's engine arguments; the default when it is not there."""
    asked = deployment.engine.args.get(name)
    if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0:
        return asked
    return default


def batches(deployment: Deployment, facts: Facts, shape: Shape) -> list[BatchDefaults]:
    """Batches to plan with, the engine's own for such a device first; the user's bounds hold."""
    if shape.device == "cpu":
        found = [gpu.batch_defaults(0, "", platform="cpu", world=shape.world)]
    else:
        least = min(facts.machine.gpus, key=lambda one: one.memory)
        found = [gpu.batch_defaults(least.memory, least.name), gpu.batch_defaults(0, "")]
    bounded = [
        BatchDefaults(
            argument(deployment, "max_num_batched_tokens", batch.tokens),
            argument(deployment, "max_num_seqs", batch.sequences),
        )
        for batch in found
    ]  # fmt: skip
    return list(dict.fromkeys(bounded))


def in_flight(shape: Shape, batch: BatchDefaults) -> int:
    """Tokens that are scheduled and not yet settled: one batch for each stage, and on a GPU a
    further one while the last is settled."""
    least = 1 if shape.device == "cpu" else gpu.CONCURRENT_BATCHES
    return batch.tokens * max(shape.pipeline, least)


def overhead(deployment: Deployment, subject: Subject, shape: Shape, batch: BatchDefaults) -> int:
    """Bytes that a shard takes beside weights and KV cache."""
    if shape.device == "gpu":
        parallel = shape.parallel
        eager = deployment.engine.args.get("enforce_eager") is True
        quantised = subject.quantisation is not None
        found = gpu.terms(
            subject.profile, parallel, subject.element, batch, quantised=quantised, eager=eager
        )
        return found.total + int(gpu.before(parallel).value)
    extra = (shape.tensor - 1) * memory.WORKER_OVERHEAD
    packed = subject.stored.tables(shape.parallel)
    return (memory.ENGINE_OVERHEAD + extra) // shape.tensor + packed


def told(
    deployment: Deployment, facts: Facts, shape: Shape, batch: BatchDefaults
) -> dict[str, int]:
    """What the engine must be told of a batch: nothing when it is its own."""
    own = batches(deployment, facts, shape)[0]
    if batch == own:
        return {}
    return {"max_num_batched_tokens": batch.tokens, "max_num_seqs": batch.sequences}


def planned_batch(plan: Plan) -> BatchDefaults:
    """What the engine of a plan works on at once: as it is told, or as it takes by itself; of an
    unnamed GPU the batch that every size of them takes."""
    platform: gpu.Platform = "cpu" if plan.layout.device == "cpu" else "gpu"
    world = plan.layout.tensor * plan.layout.pipeline
    own = gpu.batch_defaults(0, "", platform=platform, world=world)
    told = plan.engine.args
    return BatchDefaults(
        int(told.get("max_num_batched_tokens") or own.tokens),
        int(told.get("max_num_seqs") or own.sequences),
    )
