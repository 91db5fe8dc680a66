"""The plan: what will run, what fits, and why. Pure: from a deployment and facts to a Plan.

What cannot work is refused here, in milliseconds and with the arithmetic, instead of by an engine
minutes later. Every suggestion in a refusal has been planned with, so that following it fits.
"""

from __future__ import annotations

from llmops.planning import memory
from llmops.planning.architecture import Architecture, read
from llmops.planning.choice import Choice, choose
from llmops.planning.identity import facts_digest, identity
from llmops.planning.layout import hardware, replica_threads
from llmops.planning.model import (
    EngineSettings,
    Facts,
    Figure,
    Layout,
    Limits,
    Plan,
    PlannedMemory,
    PlannedModel,
)
from llmops.planning.refusal import Refusal, advised
from llmops.planning.remedies import doubled
from llmops.planning.sizing import Size
from llmops.spec import Deployment
from llmops.units import Bytes


def make_plan(deployment: Deployment, facts: Facts) -> Plan:
    """Plan a deployment.

    Raises:
        RefusedError: When it cannot run on this machine as it is; the message has the arithmetic,
            the hint and `changes` a change with which it would, where there is one.
    """
    try:
        return _plan(deployment, facts)
    except Refusal as refusal:
        raise advised(refusal, deployment, facts, _plan) from refusal


def _plan(deployment: Deployment, facts: Facts) -> Plan:
    _check_port(deployment, facts)
    _check_disk(facts)
    arch = read(facts.model.config)
    dtype = memory.dtype(deployment.engine.dtype, facts.model)
    choice = choose(deployment, facts, arch, memory.ELEMENT[dtype])
    size = choice.size
    return Plan(
        service=deployment.name,
        identity=identity(deployment, facts),
        facts_digest=facts_digest(facts),
        model=_planned_model(facts, arch, size, memory.ELEMENT[dtype]),
        memory=_planned_memory(size, dtype),
        layout=_layout(deployment, facts, choice),
        options=choice.options,
        engine=EngineSettings(
            deployment.engine.kind, facts.engine_version, dtype, dict(deployment.engine.args)
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


def _layout(deployment: Deployment, facts: Facts, choice: Choice) -> Layout:
    shape = choice.size.shape
    return Layout(
        device=shape.device,
        tensor=shape.tensor,
        pipeline=1,
        replicas_low=deployment.scaling.replicas.low,
        replicas_high=deployment.scaling.replicas.high,
        threads=replica_threads(deployment, facts.machine.cores, shape),
        reason=choice.reason,
    )


def _check_port(deployment: Deployment, facts: Facts) -> None:
    port, machine = deployment.target.port, facts.machine
    if machine.endpoint_port not in (None, port):
        raise Refusal(
            f"the endpoint of this machine is on port {machine.endpoint_port}, not {port}:"
            " all services share it until the last is destroyed",
            path="target.port",
            fixes=[{"target.port": machine.endpoint_port}],
        )
    host = machine.endpoint_host
    if machine.endpoint_port == port and host not in ("", deployment.target.host):
        same: dict[str, object] = {"target.host": host}
        if not host.startswith("127.") and host not in ("localhost", "::1"):
            same["target.allow_plaintext"] = True
        raise Refusal(
            f"the endpoint of this machine listens on {host}, not {deployment.target.host}:"
            " all services share it until the last is destroyed",
            path="target.host",
            fixes=[same],
        )
    taken = machine.port_owner not in ("", "llmops") and port != machine.port_free
    if machine.endpoint_port is None and taken:
        raise Refusal(
            f"port {port} is taken by {machine.port_owner}",
            path="target.port",
            hint="choose another target.port, or end that program",
            fixes=[{"target.port": machine.port_free}] if machine.port_free else (),
        )


def _check_disk(facts: Facts) -> None:
    needed = facts.model.download_bytes * 11 // 10
    if needed > facts.machine.disk_free:
        raise Refusal(
            f"the model needs {Bytes(needed).human()} of disk,"
            f" and {Bytes(facts.machine.disk_free).human()} are free",
            path="model.source",
            hint="free some space, or set LLMOPS_HOME to a larger disk",
        )


def _planned_model(facts: Facts, arch: Architecture, size: Size, element: int) -> PlannedModel:
    model = facts.model
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(model.dtypes.items()))
    return PlannedModel(
        source=model.source,
        revision=model.revision,
        parameters=Figure(model.parameters, f"counted in the weight files' headers: {kinds}"),
        weight_bytes=Figure(model.weight_bytes, "bytes of tensors in the weight files"),
        kv_bytes_per_token=Figure(
            memory.kv_bytes_per_token(arch, element),
            f"2 x {arch.layers} layers x {arch.kv_heads} KV heads x {arch.head_dim} x"
            f" {element} bytes",
        ),
        context=Figure(size.context, size.context_reason),
    )


def _planned_memory(size: Size, dtype: str) -> PlannedMemory:
    shape = size.shape
    measured = "measured" if shape.device == "cpu" else "an assumption of this version"
    return PlannedMemory(
        per_device_bytes=Figure(
            size.per_shard,
            f"weights {Bytes(size.weights).human()} + KV cache {Bytes(size.kv).human()}"
            f" + engine {Bytes(size.overhead).human()}",
        ),
        weights=Figure(size.weights, f"as {dtype}, on each of {shape.tensor} shard(s)"),
        kv_cache=Figure(size.kv * shape.tensor, size.kv_reason),
        kv_tokens=Figure(
            size.kv_tokens,
            f"{Bytes(size.kv).human()} per shard / {size.per_token} bytes, in whole blocks of"
            f" {size.block}",
        ),
        overhead=Figure(size.overhead, f"the engine's own processes and buffers, {measured}"),
        total=Figure(
            size.total,
            f"{shape.replicas} replica(s) x {shape.tensor} shard(s); {size.room.words}",
        ),
    )


def _notes(deployment: Deployment, facts: Facts, size: Size) -> tuple[str, ...]:
    notes = []
    own = [release for release in facts.live if release.service == deployment.name]
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
    if doubled(deployment, size.shape, facts.machine.cores):
        notes.append(f"more threads compute than the {facts.machine.cores} cores of this machine:"
                     " they take turns, and answers are slower")  # fmt: skip
    if size.shape.device == "gpu" and hardware(deployment).memory != "auto":
        notes.append("hardware.memory bounds what a replica takes on a CPU; on a GPU it has the"
                     " device for itself")  # fmt: skip
    if deployment.maintenance.strategy == "recreate" and own:
        notes.append("recreate: the service is away from when the old release is removed until"
                     " the new one has answered")  # fmt: skip
    return tuple(notes)
