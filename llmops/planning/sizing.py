"""How the memory is dealt: weights first, then the engine, and the KV cache from what is left.

Pure. Sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.errors import RefusedError
from llmops.planning import memory
from llmops.planning.architecture import Architecture
from llmops.planning.layout import Shape, hardware
from llmops.planning.model import Facts
from llmops.spec import Deployment
from llmops.units import Bytes

GIB = 2**30
AUTO_KV = 4 * GIB
"""Most that `kv_cache: auto` takes."""

AUTO_REQUESTS = 4
"""Requests of full context that `kv_cache: auto` gives room for, where there is room."""

KEPT_FREE = GIB // 2
"""Left for the rest of the machine."""


@dataclass(frozen=True, slots=True)
class Size:
    """The memory of one shard, and of all replicas."""

    weights: int
    kv: int
    """KV cache of one shard."""
    overhead: int
    total: int
    kv_tokens: int
    block: int
    kv_reason: str
    context: int
    context_reason: str

    @property
    def per_shard(self) -> int:
        return self.weights + self.kv + self.overhead


def size_memory(
    deployment: Deployment, facts: Facts, arch: Architecture, shape: Shape, element: int
) -> Size:
    """Deal the memory.

    Raises:
        RefusedError: When weights, engine and the least useful KV cache do not fit.
    """
    per_token = memory.kv_bytes_per_token(arch, element, shape.tensor)
    block = memory.BLOCK if shape.device == "cpu" else memory.GPU_BLOCK
    room = _room(deployment, facts, shape)
    weights = memory.weights_per_shard(facts.model.weight_bytes, shape.tensor)
    overhead = _overhead(shape)
    left = room // (shape.replicas * shape.tensor) - weights - overhead
    context, why = _context(deployment, arch)
    kv, kv_reason = _kv(deployment, shape, context, per_token, left)
    tokens = memory.kv_tokens(kv, per_token, block)
    if deployment.model.context == "auto" and tokens < context and tokens >= block:
        context, why = tokens, f"{why}, lowered to what the KV cache holds"
    if kv > left or tokens < context:
        raise _refusal(
            deployment, facts, shape, room, weights + overhead, kv, per_token, context, block
        )
    total = (weights + kv + overhead) * shape.replicas * shape.tensor
    return Size(weights, kv, overhead, total, tokens, block, kv_reason, context, why)


def _overhead(shape: Shape) -> int:
    if shape.device == "gpu":
        return memory.GPU_OVERHEAD
    extra = (shape.tensor - 1) * memory.WORKER_OVERHEAD
    return (memory.ENGINE_OVERHEAD + extra) // shape.tensor


def _room(deployment: Deployment, facts: Facts, shape: Shape) -> int:
    """Bytes for all shards of all replicas."""
    asked = hardware(deployment).memory
    if shape.device == "gpu":
        free = min(gpu.free for gpu in facts.machine.gpus)
        return int(free * memory.GPU_USABLE) * shape.replicas * shape.tensor
    free = facts.machine.memory_free - KEPT_FREE
    if deployment.maintenance.strategy == "recreate":
        # Its own old releases go first, and give back what they hold.
        free += sum(r.memory for r in facts.live if r.service == deployment.name)
    if asked == "auto":
        return max(0, free)
    return max(0, min(free, int(asked) * shape.replicas))


def _context(deployment: Deployment, arch: Architecture) -> tuple[int, str]:
    asked = deployment.model.context
    if asked == "auto":
        return arch.max_positions, "what the model was trained for"
    if asked > arch.max_positions:
        raise RefusedError(
            f"model.context is {asked}, and the model was trained for {arch.max_positions}",
            hint=f"set model.context to at most {arch.max_positions}",
        )
    return asked, "as asked"


def _kv(
    deployment: Deployment, shape: Shape, context: int, per_token: int, left: int
) -> tuple[int, str]:
    """KV cache of one shard, and why."""
    asked = deployment.engine.kv_cache
    if asked != "auto":
        kv = int(asked) // shape.tensor
        if shape.device == "cpu" and kv % GIB:
            kv = -(-kv // GIB) * GIB
            return kv, f"{asked} asked, rounded up: the CPU engine takes whole GiB"
        return kv, "as asked"
    need = context * per_token
    want = min(AUTO_REQUESTS * need, AUTO_KV, max(need, left // 2))
    reason = f"up to {AUTO_REQUESTS} requests of full context, at most {AUTO_KV // GIB}GiB"
    if shape.device == "cpu":
        want = max(GIB, -(-want // GIB) * GIB)
        least = max(GIB, -(-need // GIB) * GIB)
        fitting = max(GIB, left // GIB * GIB)
        kv = max(min(want, fitting), min(least, fitting))
        return kv, f"{reason}, in whole GiB for the CPU engine"
    return max(min(want, left), 0), reason


def _refusal(
    deployment: Deployment,
    facts: Facts,
    shape: Shape,
    room: int,
    fixed: int,
    kv: int,
    per_token: int,
    context: int,
    block: int,
) -> RefusedError:
    shards = shape.replicas * shape.tensor
    cache = max(kv, context * per_token)
    message = (
        f"it does not fit: {shape.replicas} replica(s) x {shape.tensor} shard(s) x"
        f" ({Bytes(fixed).human()} weights and engine + {Bytes(cache).human()} KV cache"
        f" for {context} tokens) = {Bytes(shards * (fixed + cache)).human()},"
        f" and {Bytes(room).human()} are free"
    )
    return RefusedError(
        message, hint=_hint(deployment, facts, shape, room, fixed, per_token, block)
    )


def _hint(
    deployment: Deployment,
    facts: Facts,
    shape: Shape,
    room: int,
    fixed: int,
    per_token: int,
    block: int,
) -> str:
    """A change with which it would fit."""
    own = sum(r.memory for r in facts.live if r.service == deployment.name)
    rolling = deployment.maintenance.strategy == "rolling"
    if own and rolling and room + own >= shape.replicas * shape.tensor * (fixed + GIB):
        return (
            "the running release holds the memory: set maintenance.strategy to recreate"
            " (the service is away while it changes)"
        )
    left = room // (shape.replicas * shape.tensor) - fixed
    usable = left // GIB * GIB if shape.device == "cpu" else left
    tokens = memory.kv_tokens(max(0, usable), per_token, block)
    if tokens >= 16:
        size = Bytes(usable * shape.tensor)
        return f"set model.context to at most {tokens} and engine.kv_cache to at most {size}"
    one = room // shape.tensor - fixed
    if shape.replicas > 1 and one >= GIB:
        count = room // (shape.tensor * (fixed + GIB))
        return f"set scaling.replicas to at most {count} with engine.kv_cache: 1GiB"
    return "use a smaller model, or a machine with more memory"
