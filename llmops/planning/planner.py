"""The plan: what will run, what fits, and why. Pure: from a deployment and facts to a Plan.

What cannot work is refused here, in milliseconds and with the arithmetic, instead of by an engine
minutes later. Every suggestion in a refusal has been planned with, so that following it fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmops.planning.adapter import AdapterRoom
from llmops.planning.adapting import (
    adapter_notes,
    adapter_room,
    adapters_reason,
    check_adapters,
    host_of,
    planned_adapters,
)
from llmops.planning.architecture import Task
from llmops.planning.batches import told
from llmops.planning.choice import choose
from llmops.planning.cluster import Placed, place
from llmops.planning.figures import kv_per_token, parameters, weight_bytes
from llmops.planning.identity import engine_identity, facts_digest, identity
from llmops.planning.layout import hardware, here, replica_threads
from llmops.planning.limits import planned_limits
from llmops.planning.machines import place_on_machines
from llmops.planning.model import (
    EngineSettings,
    Facts,
    Figure,
    Layout,
    LiveRelease,
    Plan,
    PlannedMemory,
    PlannedModel,
    TlsFiles,
)
from llmops.planning.refusal import Refusal, advised
from llmops.planning.remedies import doubled
from llmops.planning.replicas import planned_scaling, scaling_notes
from llmops.planning.sizing import Size, kv_dtype
from llmops.planning.subject import Subject
from llmops.planning.upkeep import planned_upkeep
from llmops.spec import AgentTarget, CloudTarget, Deployment, KubernetesTarget, LocalTarget
from llmops.units import Bytes

OTHER_TASKS: Mapping[Task, str] = {
    "transduce": "has an encoder beside its decoder",
    "embed": "gives vectors",
    "classify": "gives classes",
}
"""What a model does that does not generate."""

SERVICE_PORT = 8000
"""Port of the endpoint in a cluster: each service has an address of its own there."""

ALLOWING = "allow_deprecated_quantization"
DEPRECATED = "--" + ALLOWING.replace("_", "-")
"""The engine's argument without which it does not load what is quantised in some older ways."""


def make_plan(deployment: Deployment, facts: Facts) -> Plan:
    """Plan a deployment.

    Raises:
        RefusedError: When it cannot run on the target as it is; the message has the arithmetic,
            the hint and `changes` a change with which it would, where there is one.
    """
    subjects: dict[str, Subject] = {}

    def plan(deployment: Deployment, facts: Facts) -> Plan:
        return _plan(deployment, facts, subjects)

    try:
        return plan(deployment, facts)
    except Refusal as refusal:
        raise advised(refusal, deployment, facts, plan) from refusal


def _plan(deployment: Deployment, facts: Facts, subjects: dict[str, Subject]) -> Plan:
    """Plan; the model is read once for each number format, however often suggestions are tried."""
    if isinstance(deployment.target, LocalTarget):
        _check_port(deployment.target, facts)
        _check_tls(deployment.target, facts)
        _check_disk(facts)
    dtype = deployment.engine.dtype
    if dtype not in subjects:
        subjects[dtype] = Subject.of(facts.model, dtype)
    subject = subjects[dtype]
    _check_served(deployment, subject)
    check_adapters(deployment, facts, subject)
    if host := host_of(deployment, facts):
        return _hosted(deployment, facts, host)
    if isinstance(deployment.target, KubernetesTarget):
        placed = place(deployment, deployment.target, facts, subject)
    elif isinstance(deployment.target, CloudTarget):
        placed = place_on_machines(deployment, deployment.target, facts, subject)
    else:
        choice = choose(deployment, facts, subject)
        placed = Placed(deployment, choice.facts, choice)
    return _assembled(deployment, facts, subject, placed)


def _hosted(deployment: Deployment, facts: Facts, host: LiveRelease) -> Plan:
    """The plan of a release that is loaded into the engine of a live one: that engine's figures,
    since it is the same engine, and no room for a second one."""
    assert host.plan is not None  # noqa: S101 - a host is one by its plan
    note = (
        f"only adapters differ from release {host.number}: they are loaded into the same engine,"
        " and no second one is started"
    )
    return replace(
        host.plan,
        identity=identity(deployment, facts),
        facts_digest=facts_digest(facts),
        model=replace(host.plan.model, **planned_adapters(deployment, facts)),
        notes=(*adapter_notes(deployment, facts), note),
        asked=_asked(deployment),
        upkeep=planned_upkeep(deployment.maintenance),
    )


def _assembled(deployment: Deployment, facts: Facts, subject: Subject, placed: Placed) -> Plan:
    size, room = _of_all(placed.choice.size, deployment), adapter_room(deployment, facts)
    host, port = _endpoint(deployment)
    return Plan(
        service=deployment.name,
        identity=identity(deployment, facts),
        facts_digest=facts_digest(facts),
        model=_planned_model(deployment, facts, subject, size),
        memory=_planned_memory(size, subject, room),
        layout=_layout(deployment, placed),
        options=placed.choice.options,
        engine=EngineSettings(
            deployment.engine.kind,
            placed.facts.engine_version,
            subject.dtype,
            {**deployment.engine.args, **told(deployment, placed.facts, size.shape, size.batch)},
            room.rank,
            room.count,
        ),
        limits=planned_limits(deployment, size),
        host=host,
        port=port,
        tls=_tls(deployment.target),
        keys=deployment.security.keys,
        target_in_flight=deployment.scaling.target_in_flight,
        strategy=deployment.maintenance.strategy,
        drain_seconds=deployment.maintenance.drain.seconds,
        start_deadline_seconds=deployment.maintenance.start_deadline.seconds,
        notes=(*_notes(deployment, facts, placed), *placed.notes, *subject.notes),
        target=_recorded(deployment.target),
        image=_image(deployment),
        pod=placed.pod,
        machines=placed.machines,
        scaling=planned_scaling(deployment),
        asked=_asked(deployment),
        upkeep=planned_upkeep(deployment.maintenance),
        engine_identity=engine_identity(deployment, facts, room),
        affinity=deployment.routing.affinity,
        shadow=deployment.routing.shadow,
    )


def _of_all(size: Size, deployment: Deployment) -> Size:
    """The memory of one shard, with as many replicas as there are at most."""
    shape = replace(size.shape, replicas=deployment.scaling.replicas.high)
    return replace(size, shape=shape)


def _recorded(target: LocalTarget | KubernetesTarget | CloudTarget) -> dict[str, Any]:
    """What the target needs to make the release again: nothing where it is this machine; of one in
    a cloud what policies go by."""
    if isinstance(target, AgentTarget) and target.made_on is not None:
        return target.made_on.model_dump(mode="json")
    return {} if isinstance(target, LocalTarget) else target.model_dump(mode="json")


def _asked(deployment: Deployment) -> dict[str, Any]:
    """What the user wrote, without what has its default value, written or not."""
    asked = deployment.model_dump(mode="json", exclude_defaults=True)
    if "target" in asked:  # which is a default of each kind of target, and says which kind it is
        asked["target"] = {"kind": deployment.target.kind} | asked["target"]
    return asked


def _image(deployment: Deployment) -> str:
    """The image of the pods: none where nothing runs containers, though the file may name one."""
    on_pods = isinstance(deployment.target, KubernetesTarget)
    return deployment.image or "" if on_pods else ""


def _layout(deployment: Deployment, placed: Placed) -> Layout:
    choice = placed.choice
    shape = choice.size.shape
    return Layout(
        device=shape.device,
        tensor=shape.tensor,
        pipeline=shape.pipeline,
        replicas_low=deployment.scaling.replicas.low,
        replicas_high=deployment.scaling.replicas.high,
        threads=replica_threads(placed.deployment, placed.facts, shape),
        reason=choice.reason,
    )


def _endpoint(deployment: Deployment) -> tuple[str, int]:
    """Host and port that clients ask; of a cluster's, those of the Service."""
    target = deployment.target
    if isinstance(target, LocalTarget):
        return target.host, target.port
    if isinstance(target, CloudTarget):
        return target.address(deployment.name)
    return f"{deployment.name}.{target.namespace}.svc", SERVICE_PORT


def _tls(target: LocalTarget | KubernetesTarget | CloudTarget) -> TlsFiles | None:
    """Certificate and key of the endpoint; elsewhere TLS ends before the gateway."""
    if not isinstance(target, LocalTarget) or target.tls is None:
        return None
    return TlsFiles(target.tls.cert, target.tls.key)


def _check_tls(target: LocalTarget, facts: Facts) -> None:
    asked, has = _tls(target), facts.machine.endpoint_tls
    if facts.machine.endpoint_port is None or asked == has:
        return
    same: dict[str, object] = {"target.tls": {"cert": has.cert, "key": has.key} if has else None}
    if not has and not _is_loopback(target.host):
        same["target.allow_plaintext"] = True
    speaks = f"speaks TLS with {has.cert} and {has.key}" if has else "speaks plain HTTP"
    raise Refusal(
        f"the endpoint of this machine {speaks}, not"
        f" {f'TLS with {asked.cert} and {asked.key}' if asked else 'plain HTTP'}:"
        " all services share it until the last is destroyed",
        path="target.tls",
        hint="destroy the services of this machine and deploy them again; a certificate is renewed"
        " by writing its files anew, without that",
        fixes=[same],
    )


def _check_port(target: LocalTarget, facts: Facts) -> None:
    port, machine = target.port, facts.machine
    if machine.endpoint_port not in (None, port):
        raise Refusal(
            f"the endpoint of this machine is on port {machine.endpoint_port}, not {port}:"
            " all services share it until the last is destroyed",
            path="target.port",
            fixes=[{"target.port": machine.endpoint_port}],
        )
    host = machine.endpoint_host
    if machine.endpoint_port == port and host not in ("", target.host):
        same: dict[str, object] = {"target.host": host}
        if not _is_loopback(host) and target.tls is None:
            same["target.allow_plaintext"] = True
        raise Refusal(
            f"the endpoint of this machine listens on {host}, not {target.host}:"
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


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1")


def _check_disk(facts: Facts) -> None:
    needed = facts.model.download_bytes * 11 // 10
    if needed > facts.machine.disk_free:
        raise Refusal(
            f"the model needs {Bytes(needed).human()} of disk,"
            f" and {Bytes(facts.machine.disk_free).human()} are free",
            path="model.source",
            hint="free some space, or set LLMOPS_HOME to a larger disk",
        )


def _check_served(deployment: Deployment, subject: Subject) -> None:
    profile, why = subject.profile, subject.unserved
    if profile.task in OTHER_TASKS:
        raise Refusal(
            f"{profile.name} {OTHER_TASKS[profile.task]}, and what this version serves answers"
            " chats and completions",
            path="model.source",
            hint="use a model that generates text",
        )
    if not why or (DEPRECATED in why and deployment.engine.args.get(ALLOWING) is True):
        return
    other = "use another model"
    if subject.quantisation and subject.quantisation.unloadable:
        other = "use a copy that is quantised in another way, or not at all"
    allow = f"set engine.args.{ALLOWING} to true, or " if DEPRECATED in why else ""
    raise Refusal(
        f"this version cannot serve {profile.name}: {why}", path="model.source", hint=allow + other
    )


def _planned_model(
    deployment: Deployment, facts: Facts, subject: Subject, size: Size
) -> PlannedModel:
    model = facts.model
    return PlannedModel(
        source=model.source,
        revision=model.revision,
        parameters=parameters(model, subject),
        weight_bytes=weight_bytes(model, subject),
        kv_bytes_per_token=kv_per_token(subject, kv_dtype(deployment)),
        context=Figure(size.context, size.context_reason),
        licence=model.licence,
        **planned_adapters(deployment, facts),
    )


def _planned_memory(size: Size, subject: Subject, room: AdapterRoom) -> PlannedMemory:
    shape = size.shape
    dtype = subject.quantisation.words if subject.quantisation else f"as {subject.dtype}"
    beside = "the engine's own processes and buffers, measured"
    if shape.device == "gpu":
        beside = (
            f"activations and graphs for batches of {size.batch.tokens:,} tokens and"
            f" {size.batch.sequences:,} sequences, and the libraries' own; not measured here"
        )
    if size.adapters:
        beside += f"; {adapters_reason(size.adapters, room)}"
    return PlannedMemory(
        per_device_bytes=Figure(
            size.per_shard,
            f"weights {Bytes(size.weights).human()} + KV cache {Bytes(size.kv).human()}"
            f" + engine {Bytes(size.overhead).human()}",
        ),
        weights=Figure(size.weights, f"{dtype}, on each of {shape.world} shard(s)"),
        kv_cache=Figure(size.kv * shape.world, size.kv_reason),
        kv_tokens=Figure(
            size.kv_tokens,
            f"{size.pool.blocks(size.kv):,} blocks of"
            f" {Bytes(size.pool.bytes_per_block).human()} in {Bytes(size.kv).human()} per shard;"
            f" a request of {size.context:,} tokens takes {size.pool.blocks_of(size.context):,}",
        ),
        overhead=Figure(size.overhead, beside),
        total=Figure(
            size.total,
            f"{shape.replicas} replica(s) x {shape.world} shard(s); {size.room.words}",
        ),
    )


def _notes(deployment: Deployment, facts: Facts, placed: Placed) -> tuple[str, ...]:
    size, cores = placed.choice.size, placed.facts.machine.cores
    dealt = [one.words for one in facts.machine.shares if one.stages == size.shape.pipeline]
    notes = [*facts.machine.notes, *dealt, *adapter_notes(deployment, facts)]
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
    if doubled(deployment, size.shape, cores):
        notes.append(f"more threads compute than the {cores} cores of {here(placed.facts)}:"
                     " they take turns, and answers are slower")  # fmt: skip
    if size.shape.device == "cpu" and deployment.engine.args.get("enforce_eager") is False:
        notes.append("engine.args.enforce_eager is false, and the CPU engine runs eagerly all the"
                     " same: it compiles nothing")  # fmt: skip
    if size.shape.device == "gpu" and hardware(deployment).memory != "auto":
        notes.append("hardware.memory bounds what a replica takes on a CPU; on a GPU it has the"
                     " device for itself")  # fmt: skip
    notes += scaling_notes(deployment)
    if deployment.maintenance.strategy == "recreate" and own:
        notes.append("recreate: the service is away from when the old release is removed until"
                     " the new one has answered")  # fmt: skip
    return tuple(notes)
