"""What is said when the memory does not do, and what might be changed so that it does. Pure.

The changes named here are guesses by arithmetic; `refusal.advised` tries each before a user sees
it.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmops.planning.layout import Shape, hardware, staying
from llmops.planning.model import Facts
from llmops.planning.refusal import Changes, Refusal
from llmops.planning.sizing import LEAST_CONTEXT, LONGEST, MIB, Size, down, unit, up
from llmops.planning.subject import Subject
from llmops.spec import Deployment
from llmops.units import Bytes, Replicas


def no_memory(deployment: Deployment, facts: Facts, subject: Subject, size: Size) -> Refusal:
    """The refusal of a layout whose memory does not do, with its arithmetic."""
    fixes = tuple(_fixes(deployment, facts, subject, size))
    if size.kv <= size.left:
        return Refusal(
            f"the KV cache is too small: {Bytes(size.kv).human()} hold a request of {size.longest}"
            f" tokens ({size.pool.token_bytes} bytes per token, in blocks of"
            f" {Bytes(size.pool.bytes_per_block).human()}, of which one is kept back), and the"
            f" context is {size.context}",
            path="engine.kv_cache",
            hint="give engine.kv_cache more, or set model.context lower",
            fixes=fixes,
        )
    shape = size.shape
    cache = max(size.kv, size.pool.least)
    if deployment.model.context == "auto":
        cache = size.kv
    return Refusal(
        f"it does not fit{_beside(deployment, facts)}: {shape.replicas} replica(s) x"
        f" {shape.world} shard(s) x ({Bytes(size.weights).human()} weights +"
        f" {Bytes(size.overhead).human()} engine + {Bytes(cache).human()} KV cache) ="
        f" {Bytes(shape.shards * (size.fixed + cache)).human()}, and {size.room.words}",
        path=_to_blame(deployment, size),
        hint=_hopeless(deployment, facts),
        fixes=fixes,
    )


def _hopeless(deployment: Deployment, facts: Facts) -> str:
    others = sorted({r.service for r in facts.live if r.service != deployment.name})
    destroy = f"destroy {' or '.join(others)}, " if others else ""
    where = "a machine" if facts.cluster is None else "nodes"
    return f"{destroy}use a smaller model, or {where} with more memory"


def _beside(deployment: Deployment, facts: Facts) -> str:
    """Names the service's own running releases: `recreate` would make room of them."""
    own = [r.number for r in staying(deployment, facts) if r.service == deployment.name]
    return f" beside release {', '.join(str(number) for number in own)}" if own else ""


def _to_blame(deployment: Deployment, size: Size) -> str:
    """The field that was set, if any, else the model itself."""
    if size.left < unit(size.shape):
        pass  # not even the least cache: no cache or context is to blame
    elif deployment.engine.kv_cache != "auto":
        return "engine.kv_cache"
    elif deployment.model.context != "auto":
        return "model.context"
    if hardware(deployment).memory != "auto":
        return "hardware.memory"
    one = size.shape.world * (size.fixed + unit(size.shape))
    several = size.shape.replicas > 1 and one <= size.room.bytes
    return "scaling.replicas" if several else "model.source"


def _fixes(deployment: Deployment, facts: Facts, subject: Subject, size: Size) -> Iterator[Changes]:
    if any(r.service == deployment.name for r in staying(deployment, facts)):
        yield {"maintenance.strategy": "recreate"}
    yield from _other_cache(deployment, size)
    if hardware(deployment).memory != "auto":
        yield {"hardware.memory": Bytes(up(size.per_shard, MIB) * size.shape.world)}
    yield from _shorter(deployment, subject, size, size.left)
    yield from _fewer(deployment, subject, size)
    if size.shape.device == "gpu":
        yield from ({"parallelism.tensor": n} for n in range(1, len(facts.machine.gpus) + 1))


def _other_cache(deployment: Deployment, size: Size) -> Iterator[Changes]:
    """The context as it is, with as much KV cache as it needs or as there is."""
    if deployment.engine.kv_cache == "auto":
        return
    step, tensor = unit(size.shape), size.shape.world
    need = up(size.pool.least, step)
    if size.kv > size.left and down(size.left, step) >= need:
        yield {"engine.kv_cache": Bytes(down(size.left, step) * tensor)}
    elif need <= size.left:
        yield {"engine.kv_cache": Bytes(need * tensor)}


def _shorter(deployment: Deployment, subject: Subject, size: Size, left: int) -> Iterator[Changes]:
    """The longest context that the KV cache holds: as it is set, or as large as fits."""
    explicit = deployment.engine.kv_cache != "auto"
    if explicit and size.kv <= left and size.longest >= LEAST_CONTEXT:
        yield _context(deployment, subject, size.longest)
    kv = down(left, unit(size.shape))
    tokens = size.pool.longest(kv, LONGEST)
    if tokens < LEAST_CONTEXT:
        return
    changes = _context(deployment, subject, tokens)
    if explicit:
        changes["engine.kv_cache"] = Bytes(kv * size.shape.world)
    yield changes


def _context(deployment: Deployment, subject: Subject, tokens: int) -> dict[str, object]:
    context = min(tokens, subject.profile.max_positions)
    changes: dict[str, object] = {"model.context": context}
    asked = deployment.security
    default = type(asked).model_fields["max_tokens"].default
    if asked.max_tokens > context and asked.max_tokens != default:
        changes["security.max_tokens"] = context
    return changes


def _fewer(deployment: Deployment, subject: Subject, size: Size) -> Iterator[Changes]:
    """As many replicas as there is room for: with the cache that was dealt, else with less."""
    most, step = size.shape.replicas, unit(size.shape)
    least = up(size.pool.at(LEAST_CONTEXT).least, step)
    for kv in (size.kv, least):
        count = min(most - 1, size.room.bytes // (size.shape.world * (size.fixed + kv)))
        if count >= 1:
            low = min(deployment.scaling.replicas.low, count)
            fewer: dict[str, object] = {"scaling.replicas": Replicas(low, count)}
            yield fewer
            left = size.room.bytes // (count * size.shape.world) - size.fixed
            yield from ({**fewer, **change} for change in _shorter(deployment, subject, size, left))


def doubled(deployment: Deployment, shape: Shape, cores: int) -> bool:
    """Whether more threads compute than there are cores: slow, and no reason to refuse."""
    asked = hardware(deployment).cores
    stages = shape.replicas * shape.pipeline
    wanted = asked * stages if isinstance(asked, int) else shape.shards
    return shape.device == "cpu" and wanted > cores
