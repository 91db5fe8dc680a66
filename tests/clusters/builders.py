"""Releases, runtimes and states of the target `kubernetes`.

Plans are written out here and not asked of the planner: golden files should change when the objects
do, not when a figure is estimated better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters import names
from clusters.model import Runtime, ServiceState
from clusters.shape import digest, shape_of
from llmops.planning import (
    EngineSettings,
    Figure,
    Layout,
    Limits,
    Plan,
    PlannedMemory,
    PlannedModel,
    PodSize,
)
from llmops.releases import Release, State
from llmops.spec import Deployment, KubernetesTarget
from llmops.units import Bytes
from serving.serve_config import Pods, RuntimeSettings, render, routes

IMAGE = f"registry.example/llmops@sha256:{'ab' * 32}"
WHY = "a test says so"
KV_PER_TOKEN = 65_536
CONTEXT = 8192


def make_plan(
    service: str = "chat",
    *,
    target: Mapping[str, Any] | None = None,
    image: str = IMAGE,
    gpus: int = 0,
    cores: int = 4,
    memory: str = "16GiB",
    disk: str = "40GiB",
    weights: str = "1GiB",
    **sections: Any,
) -> Plan:
    """A plan for pods of this size and a model with weights of that size.

    `target` and further sections (`scaling`, `maintenance`, `security`) are written as in a file.
    """
    written = {"name": service, "model": {"source": "hf://owner/model"}} | sections
    deployment = Deployment.model_validate(written)
    wished = KubernetesTarget.model_validate({"kind": "kubernetes", **(target or {})}, strict=False)
    security, scaling, upkeep = deployment.security, deployment.scaling, deployment.maintenance
    weighs = int(Bytes.parse(weights))
    return Plan(
        service=service,
        identity="0" * 16,
        facts_digest="facts",
        model=_model(weighs),
        memory=_memory(weighs, max(1, gpus)),
        layout=Layout(
            device="gpu" if gpus else "cpu",
            tensor=max(1, gpus),
            pipeline=1,
            replicas_low=scaling.replicas.low,
            replicas_high=scaling.replicas.high,
            threads=_figure(cores),
            reason=WHY,
        ),
        options=(),
        engine=EngineSettings("vllm", "vllm 0.32.0", "bfloat16", {}),
        limits=Limits(
            security.requests_per_minute, int(security.max_body), security.max_tokens,
            security.max_choices,
        ),
        host="0.0.0.0",
        port=names.HTTP_PORT,
        keys=security.keys,
        target_in_flight=scaling.target_in_flight,
        strategy=upkeep.strategy,
        drain_seconds=upkeep.drain.seconds,
        start_deadline_seconds=upkeep.start_deadline.seconds,
        target=wished.model_dump(mode="json"),
        image=image,
        pod=PodSize(
            cores=_figure(cores),
            memory=_figure(int(Bytes.parse(memory))),
            disk=_figure(int(Bytes.parse(disk))),
            gpus=_figure(gpus),
        ),
    )  # fmt: skip


def _figure(value: int) -> Figure:
    return Figure(value, WHY)


def _model(weighs: int) -> PlannedModel:
    return PlannedModel(
        source="hf://owner/model",
        revision="0" * 40,
        parameters=_figure(weighs // 2),
        weight_bytes=_figure(weighs),
        kv_bytes_per_token=_figure(KV_PER_TOKEN),
        context=_figure(CONTEXT),
    )


def _memory(weighs: int, shards: int) -> PlannedMemory:
    shard, cache, overhead = weighs // shards, 4 * KV_PER_TOKEN * CONTEXT, 2**30
    return PlannedMemory(
        per_device_bytes=_figure(shard + cache + overhead),
        weights=_figure(shard),
        kv_cache=_figure(cache),
        kv_tokens=_figure(4 * CONTEXT),
        overhead=_figure(overhead),
        total=_figure(shards * (shard + cache + overhead)),
    )


def make_release(service: str = "chat", number: int = 1, **settings: Any) -> Release:
    """A live release of `make_plan(**settings)`."""
    return Release(service, number, make_plan(service, **settings), State.LIVE, 0.0)


def make_runtime(*found: Release, shares: Mapping[int, int] | None = None, **other: Any) -> Runtime:
    """The runtime of releases of one shape; the last of them has all the traffic."""
    shape = shape_of(found[-1].plan)
    newest = {release.number: 100 * int(release is found[-1]) for release in found}
    made: dict[str, Any] = {
        "id": digest(shape),
        "service": found[-1].service,
        "shape": shape,
        "releases": found,
        "shares": newest if shares is None else shares,
        "generation": 1,
    }
    return Runtime(**(made | other))


def make_state(*runtimes: Runtime, namespace: str = "llm", **other: Any) -> ServiceState:
    """A service's state; the first runtime is the active one."""
    made: dict[str, Any] = {
        "service": runtimes[0].service,
        "namespace": namespace,
        "runtimes": runtimes,
        "active": runtimes[0].id,
    }
    return ServiceState(**(made | other))


def make_serve_config(runtime: Runtime) -> dict[str, Any]:
    """Serve's config of the runtime's releases."""
    shares = {(runtime.service, number): share for number, share in runtime.shares.items()}
    settings = RuntimeSettings(
        home=names.HOME,
        host="0.0.0.0",
        port=names.HTTP_PORT,
        metrics_port=names.OPS_PORT,
        pods=Pods(runtime.shape.target.gateways, f"{names.KEYS}/{names.KEYS_FILE}"),
    )
    table = routes(runtime.releases, shares, keys_version="1")
    return render(runtime.releases, table, settings, runtime.generation)
