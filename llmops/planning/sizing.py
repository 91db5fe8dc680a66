"""How the memory is dealt: weights first, then the engine, and the KV cache from what is left.

Pure. Sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning import memory
from llmops.planning.architecture import Architecture
from llmops.planning.layout import Shape, hardware, staying
from llmops.planning.model import Facts
from llmops.planning.refusal import Refusal
from llmops.spec import Deployment
from llmops.units import Bytes

GIB = 2**30
MIB = 2**20
AUTO_KV = 4 * GIB
"""Most that `kv_cache: auto` takes, unless one request of the context that is asked for is more."""

AUTO_REQUESTS = 4
"""Requests of full context that `kv_cache: auto` gives room for, where there is room."""

KEPT_FREE = GIB // 2
"""Left for the rest of the machine."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes for all shards of all replicas, and what sets them."""

    bytes: int
    words: str


@dataclass(frozen=True, slots=True)
class Size:
    """The memory of one shard, whether it fits or not, and the room for all of them."""

    shape: Shape
    room: Room
    weights: int
    kv: int
    """KV cache of one shard."""
    overhead: int
    per_token: int
    """Bytes of KV cache for a token on one shard."""
    block: int
    kv_reason: str
    context: int
    context_reason: str

    @property
    def fixed(self) -> int:
        """What a shard takes before its KV cache."""
        return self.weights + self.overhead

    @property
    def per_shard(self) -> int:
        return self.fixed + self.kv

    @property
    def total(self) -> int:
        return self.per_shard * self.shape.shards

    @property
    def left(self) -> int:
        """What a shard has for its KV cache; below 0 when not even the rest fits."""
        return self.room.bytes // self.shape.shards - self.fixed

    @property
    def kv_tokens(self) -> int:
        return memory.kv_tokens(self.kv, self.per_token, self.block)

    @property
    def longest(self) -> int:
        """Tokens of the longest request that the KV cache holds."""
        return memory.longest_request(self.kv, self.per_token, self.block)

    @property
    def fits(self) -> bool:
        return self.kv <= self.left and self.longest >= self.context


def unit(shape: Shape) -> int:
    """What KV caches are multiples of: the CPU engine is told a whole number of GiB."""
    return GIB if shape.device == "cpu" else MIB


def up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def down(value: int, step: int) -> int:
    """`value` rounded down to a multiple of `step`; 0 when it is below 0."""
    return max(0, value // step * step)


def deal(
    deployment: Deployment, facts: Facts, arch: Architecture, shape: Shape, element: int
) -> Size:
    """Deal the memory of a layout, without a verdict.

    Raises:
        Refusal: When the context is longer than what the model was trained for.
    """
    per_token = memory.kv_bytes_per_token(arch, element, shape.tensor)
    loaded = memory.loaded_bytes(facts.model, element)
    context, why = _context(deployment, arch)
    bare = Size(
        shape=shape,
        room=room(deployment, facts, shape),
        weights=memory.weights_per_shard(loaded, shape.tensor),
        kv=0,
        overhead=_overhead(shape),
        per_token=per_token,
        block=_block(deployment, shape),
        kv_reason="",
        context=context,
        context_reason=why,
    )
    return _with_cache(deployment, bare)


def _with_cache(deployment: Deployment, bare: Size) -> Size:
    kv, reason = _kv(deployment, bare)
    longest = memory.longest_request(kv, bare.per_token, bare.block)
    sized = replace(bare, kv=kv, kv_reason=reason)
    if deployment.model.context == "auto" and bare.block <= longest < bare.context:
        why = f"the model was trained for {bare.context}, and the KV cache holds this much"
        return replace(sized, context=longest, context_reason=why)
    return sized


def _overhead(shape: Shape) -> int:
    if shape.device == "gpu":
        return memory.GPU_OVERHEAD
    extra = (shape.tensor - 1) * memory.WORKER_OVERHEAD
    return (memory.ENGINE_OVERHEAD + extra) // shape.tensor


def _block(deployment: Deployment, shape: Shape) -> int:
    """Tokens in a KV block: the user's `block_size`, else the engine's own."""
    asked = deployment.engine.args.get("block_size")
    if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0:
        return asked
    return memory.BLOCK if shape.device == "cpu" else memory.GPU_BLOCK


def room(deployment: Deployment, facts: Facts, shape: Shape) -> Room:
    """What all shards of all replicas may take."""
    if shape.device == "gpu":
        return _on_gpus(deployment, facts, shape)
    return _on_cpu(deployment, facts, shape)


def _on_gpus(deployment: Deployment, facts: Facts, shape: Shape) -> Room:
    """As much on each as the least free of the GPUs that are not held has.

    Held ones are those with the least free memory; what its own old release holds is empty once
    `recreate` has removed it.
    """
    held = sum(r.gpus for r in staying(deployment, facts))
    own = sum(r.gpus for r in facts.live) - held
    gpus = sorted(facts.machine.gpus, key=lambda gpu: gpu.free)[held:]
    free = [gpu.memory for gpu in gpus[:own]] + [gpu.free for gpu in gpus[own:]]
    usable = int(min(free, default=0) * memory.GPU_USABLE)
    share = f"{memory.GPU_USABLE:.0%}"
    return Room(usable * shape.shards, f"{share} of {Bytes(min(free, default=0)).human()} per GPU")


def _on_cpu(deployment: Deployment, facts: Facts, shape: Shape) -> Room:
    """What is free, or not promised to a release that stays: it may not have taken it all yet."""
    stays = staying(deployment, facts)
    promised = sum(r.memory for r in stays)
    leaving = sum(r.memory for r in facts.live) - promised
    free = facts.machine.memory_free + leaving
    unpromised = facts.machine.memory - promised
    bytes_ = max(0, min(free, unpromised) - KEPT_FREE)
    words = f"{Bytes(bytes_).human()} can be had of {Bytes(facts.machine.memory).human()}"
    if unpromised < free:
        words += f", {Bytes(promised).human()} of it promised to running releases"
    asked = hardware(deployment).memory
    if asked != "auto" and asked * shape.replicas < bytes_:
        bytes_ = asked * shape.replicas
        words = f"hardware.memory allows {shape.replicas} x {asked}"
    return Room(bytes_, words)


def _context(deployment: Deployment, arch: Architecture) -> tuple[int, str]:
    asked = deployment.model.context
    if asked == "auto":
        return arch.max_positions, "what the model was trained for"
    if asked > arch.max_positions:
        raise Refusal(
            f"model.context is {asked}, and the model was trained for {arch.max_positions}",
            path="model.context",
            hint="use a model that was trained for more",
            fixes=[{"model.context": arch.max_positions}],
        )
    return asked, "as asked"


def _kv(deployment: Deployment, bare: Size) -> tuple[int, str]:
    """KV cache of one shard, and why. It may be more than is left: then nothing less would do."""
    asked, step = deployment.engine.kv_cache, unit(bare.shape)
    on_cpu = bare.shape.device == "cpu"
    if asked != "auto":
        kv = int(asked) // bare.shape.tensor
        if on_cpu and kv % step:
            return up(kv, step), f"{asked} asked, rounded up: the CPU engine takes whole GiB"
        return kv, "as asked"
    one = memory.request_bytes(bare.context, bare.per_token, bare.block)
    explicit = deployment.model.context != "auto"
    least = one if explicit else memory.request_bytes(bare.block, bare.per_token, bare.block)
    want = min(AUTO_REQUESTS * one, AUTO_KV, max(one, bare.left // 2))
    kv = up(max(want, least), step)
    if kv > bare.left:
        kv = max(up(least, step), down(bare.left, step))
    if kv > AUTO_KV:
        return kv, f"one request of {bare.context} tokens"
    reason = f"up to {AUTO_REQUESTS} requests of full context, at most {AUTO_KV // GIB}GiB"
    reason += " and half of what is left"
    return kv, reason + (", in whole GiB for the CPU engine" if on_cpu else "")
