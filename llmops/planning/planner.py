"""The plan: what will run, what fits, and why. Pure: from a deployment and facts to a Plan.

What cannot work is refused here, in milliseconds and with the arithmetic, instead of by an engine
minutes later. Every suggestion in a refusal is computed, so that following it fits.
"""

from __future__ import annotations

from llmops.errors import RefusedError
from llmops.planning import memory
from llmops.planning.architecture import Architecture, read
from llmops.planning.identity import facts_digest, identity
from llmops.planning.layout import Shape, choose, replica_threads
from llmops.planning.model import (
    EngineSettings,
    Facts,
    Figure,
    Layout,
    Limits,
    Option,
    Plan,
    PlannedMemory,
    PlannedModel,
)
from llmops.planning.sizing import Size, size_memory
from llmops.spec import Deployment
from llmops.units import Bytes


def make_plan(deployment: Deployment, facts: Facts) -> Plan:
    """Plan a deployment.

    Raises:
        RefusedError: When it cannot run on this machine as it is; the message has the arithmetic,
            the hint a change with which it would.
    """
    _check_port(deployment, facts)
    _check_disk(facts)
    arch = read(facts.model.config)
    element = memory.ELEMENT[_dtype(deployment, facts)]
    shape, options = choose(deployment, facts, arch)
    size = size_memory(deployment, facts, arch, shape, element)
    threads = replica_threads(deployment, facts.machine.cores, shape)
    return Plan(
        service=deployment.name,
        identity=identity(deployment, facts),
        facts_digest=facts_digest(facts),
        model=_planned_model(facts, arch, shape, size, element),
        memory=_planned_memory(facts, shape, size),
        layout=Layout(
            device=shape.device,
            tensor=shape.tensor,
            pipeline=1,
            replicas_low=deployment.scaling.replicas.low,
            replicas_high=deployment.scaling.replicas.high,
            threads=threads,
            reason=shape.reason,
        ),
        options=_with_sizes(options, shape, size),
        engine=EngineSettings(
            deployment.engine.kind,
            facts.engine_version,
            _dtype(deployment, facts),
            dict(deployment.engine.args),
        ),
        limits=Limits(
            requests_per_minute=deployment.security.requests_per_minute,
            max_body=int(deployment.security.max_body),
            max_tokens=min(deployment.security.max_tokens, size.context),
            max_choices=deployment.security.max_choices,
        ),
        host=deployment.target.host,
        port=deployment.target.port,
        keys=deployment.security.keys,
        target_in_flight=deployment.scaling.target_in_flight,
        strategy=deployment.maintenance.strategy,
        drain_seconds=deployment.maintenance.drain.seconds,
        start_deadline_seconds=deployment.maintenance.start_deadline.seconds,
        notes=_notes(deployment, facts, size),
    )


def _dtype(deployment: Deployment, facts: Facts) -> str:
    """The number format: the user's, else the model's own."""
    if deployment.engine.dtype != "auto":
        return deployment.engine.dtype
    config = facts.model.config
    own = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16")
    return own if own in memory.ELEMENT else "bfloat16"


def _check_port(deployment: Deployment, facts: Facts) -> None:
    port, machine = deployment.target.port, facts.machine
    if machine.endpoint_port is not None and machine.endpoint_port != port:
        raise RefusedError(
            f"the endpoint of this machine is on port {machine.endpoint_port}, not {port}:"
            " all services share it",
            hint=f"set target.port to {machine.endpoint_port}, or destroy the other services first",
        )
    if machine.endpoint_port is None and machine.port_owner not in ("", "llmops"):
        raise RefusedError(
            f"port {port} is taken by {machine.port_owner}",
            hint="choose another target.port, or end that program",
        )


def _check_disk(facts: Facts) -> None:
    needed = int(facts.model.download_bytes * 1.1)
    if needed > facts.machine.disk_free:
        raise RefusedError(
            f"the model needs {Bytes(needed).human()} of disk,"
            f" and {Bytes(facts.machine.disk_free).human()} are free",
            hint="free some space, or set LLMOPS_HOME to a larger disk",
        )


def _planned_model(
    facts: Facts, arch: Architecture, shape: Shape, size: Size, element: int
) -> PlannedModel:
    model = facts.model
    per_token = memory.kv_bytes_per_token(arch, element, shape.tensor)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(model.dtypes.items()))
    heads = max(1, -(-arch.kv_heads // shape.tensor))
    return PlannedModel(
        source=model.source,
        revision=model.revision,
        parameters=Figure(model.parameters, f"counted in the weight files' headers: {kinds}"),
        weight_bytes=Figure(model.weight_bytes, "bytes of tensors in the weight files"),
        kv_bytes_per_token=Figure(
            per_token,
            f"2 x {arch.layers} layers x {heads} KV heads x {arch.head_dim} x {element} bytes",
        ),
        context=Figure(size.context, size.context_reason),
    )


def _planned_memory(facts: Facts, shape: Shape, size: Size) -> PlannedMemory:
    free = Bytes(facts.machine.memory_free).human()
    return PlannedMemory(
        per_device_bytes=Figure(
            size.per_shard,
            f"weights {Bytes(size.weights).human()} + KV cache {Bytes(size.kv).human()}"
            f" + engine {Bytes(size.overhead).human()}",
        ),
        weights=Figure(size.weights, "per shard"),
        kv_cache=Figure(size.kv * shape.tensor, size.kv_reason),
        kv_tokens=Figure(
            size.kv_tokens, f"{Bytes(size.kv).human()} per shard in whole blocks of {size.block}"
        ),
        overhead=Figure(size.overhead, "the engine's own processes and buffers, measured"),
        total=Figure(
            size.total, f"{shape.replicas} replica(s) x {shape.tensor} shard(s); {free} are free"
        ),
    )


def _with_sizes(options: tuple[Option, ...], shape: Shape, size: Size) -> tuple[Option, ...]:
    return tuple(
        Option(o.tensor, o.pipeline, o.fits, o.chosen, size.per_shard, o.reason)
        if o.tensor == shape.tensor
        else o
        for o in options
    )


def _notes(deployment: Deployment, facts: Facts, size: Size) -> tuple[str, ...]:
    notes = []
    if deployment.security.max_tokens > size.context:
        notes.append(
            f"security.max_tokens is {deployment.security.max_tokens}, more than the context of"
            f" {size.context}: {size.context} holds"
        )
    if not facts.model.chat_template:
        notes.append("the model has no chat template: /v1/chat/completions will refuse; use"
                     " /v1/completions")  # fmt: skip
    if facts.model.converted:
        notes.append("the weights are converted from GGUF to bfloat16 safetensors, once")
    if deployment.maintenance.strategy == "recreate" and facts.live:
        notes.append("recreate: the service is away from when the old release is removed until"
                     " the new one has answered")  # fmt: skip
    return tuple(notes)
