"""How the memory is dealt: weights first, then the engine, and the KV cache from what is left.

Pure. Sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning import memory
from llmops.planning.adapting import adapter_room, adapters_bytes
from llmops.planning.batches import argument, batches, in_flight, overhead
from llmops.planning.layout import Shape, hardware, staying
from llmops.planning.memory import FLOAT32, BatchDefaults, CacheSettings, Pool
from llmops.planning.model import Facts
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import Deployment
from llmops.units import Bytes

GIB = 2**30
MIB = 2**20
AUTO_KV = 4 * GIB
"""Most that `kv_cache: auto` takes on a CPU, whose memory others use too, unless one request of the
context that is asked for is more. A GPU is the replica's own: it takes what is left."""

LEAST_CONTEXT = 16
"""Tokens: what `model.context` takes at least."""

AUTO_REQUESTS = 4
"""Requests of full context that `kv_cache: auto` gives room for, where there is room."""

LONGEST = 2**31
"""No request is longer."""

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
    batch: BatchDefaults
    """What the engine works on at once."""
    pool: Pool
    """How a shard keeps its KV cache, for the context below."""
    kv_reason: str
    context: int
    context_reason: str
    adapters: int = 0
    """What of the overhead is room for adapters."""

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
        """Tokens that the engine will report."""
        return self.pool.tokens(self.kv)

    @property
    def longest(self) -> int:
        """Tokens of the longest request that the KV cache holds."""
        return self.pool.longest(self.kv, LONGEST)

    @property
    def fits(self) -> bool:
        return self.kv <= self.left and self.pool.least <= self.kv


def unit(shape: Shape) -> int:
    """What KV caches are multiples of: the CPU engine is told a whole number of GiB."""
    return GIB if shape.device == "cpu" else MIB


def up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def down(value: int, step: int) -> int:
    """`value` rounded down to a multiple of `step`; 0 when it is below 0."""
    return max(0, value // step * step)


def deal(deployment: Deployment, facts: Facts, subject: Subject, shape: Shape) -> Size:
    """Deal the memory of a layout, without a verdict.

    Raises:
        Refusal: When the context is longer than what the model was trained for.
    """
    context, why = _context(deployment, subject)
    adapters = adapters_bytes(subject, adapter_room(deployment, facts), shape.device)
    made = []
    for batch in batches(deployment, facts, shape):
        bare = Size(
            shape=shape,
            room=room(deployment, facts, shape),
            weights=subject.weights(shape.parallel),
            kv=0,
            overhead=overhead(deployment, subject, shape, batch) + adapters,
            batch=batch,
            pool=_pool(deployment, subject, shape, batch, context),
            kv_reason="",
            context=context,
            context_reason=why,
            adapters=adapters,
        )
        made.append(_with_cache(deployment, bare))
        if made[-1].fits:
            return made[-1]
    return made[0]


def _pool(
    deployment: Deployment, subject: Subject, shape: Shape, batch: BatchDefaults, context: int
) -> Pool:
    """How the engine will keep the cache: as the user's own arguments say, else its defaults."""
    settings = CacheSettings(
        element=subject.kv_element(kv_dtype(deployment)),
        state_element=subject.element,
        # A CPU with AVX512-BF16 keeps states in float32 whatever the model's format.
        ssm_element=FLOAT32 if shape.device == "cpu" else None,
        block=_block(deployment, subject, shape),
        in_flight=in_flight(shape, batch),
        context=context,
    )
    return subject.pool(shape.parallel, settings)


def kv_dtype(deployment: Deployment) -> str:
    """Format of the KV cache that the user's own engine arguments ask for."""
    return str(deployment.engine.args.get("kv_cache_dtype", "auto"))


def _with_cache(deployment: Deployment, bare: Size) -> Size:
    kv, reason = _kv(deployment, bare)
    longest = bare.pool.longest(kv, bare.context)
    sized = replace(bare, kv=kv, kv_reason=reason)
    if deployment.model.context == "auto" and LEAST_CONTEXT <= longest < bare.context:
        why = f"the model was trained for {bare.context}, and the KV cache holds this much"
        return replace(
            sized, context=longest, pool=bare.pool.at(longest), context_reason=why
        )  # fmt: skip
    return sized


def _block(deployment: Deployment, subject: Subject, shape: Shape) -> int:
    """Tokens in a KV block: the user's `block_size`, else the engine's own."""
    if shape.device == "gpu":
        return argument(deployment, "block_size", memory.GPU_BLOCK)
    if subject.latent:
        return memory.CPU_LATENT_BLOCK
    return argument(deployment, "block_size", memory.BLOCK)


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
    usable = int(min(free, default=0) * memory.UTILISATION)
    share = f"{memory.UTILISATION:.0%}"
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


def _context(deployment: Deployment, subject: Subject) -> tuple[int, str]:
    asked, trained = deployment.model.context, subject.profile.max_positions
    if asked == "auto":
        return trained, "what the model was trained for"
    if asked > trained:
        raise Refusal(
            f"model.context is {asked}, and the model was trained for {trained}",
            path="model.context",
            hint="use a model that was trained for more",
            fixes=[{"model.context": trained}],
        )
    return asked, "as asked"


def _kv(deployment: Deployment, bare: Size) -> tuple[int, str]:
    """KV cache of one shard, and why. It may be more than is left: then nothing less would do."""
    asked, step = deployment.engine.kv_cache, unit(bare.shape)
    on_cpu = bare.shape.device == "cpu"
    if asked != "auto":
        kv = int(asked) // bare.shape.world
        if on_cpu and kv % step:
            return up(kv, step), f"{asked} asked, rounded up: the CPU engine takes whole GiB"
        return kv, "as asked"
    one = bare.pool.least
    explicit = deployment.model.context != "auto"
    least = one if explicit else bare.pool.at(LEAST_CONTEXT).least
    if not on_cpu:
        rest = down(bare.left, step)
        return max(rest, up(least, step)), "what is left of the GPU"
    want = min(AUTO_REQUESTS * one, AUTO_KV, max(one, bare.left // 2))
    kv = up(max(want, least), step)
    if kv > bare.left:
        kv = max(up(least, step), down(bare.left, step))
    if kv > AUTO_KV:
        return kv, f"one request of {bare.context} tokens"
    reason = f"up to {AUTO_REQUESTS} requests of full context, at most {AUTO_KV // GIB}GiB"
    reason += " and half of what is left"
    return kv, reason + ", in whole GiB for the CPU engine"
