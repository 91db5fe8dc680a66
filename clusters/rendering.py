"""From what should be to the objects that say so: pure, and all of a service at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters import names
from clusters.desired import Desired
from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects import tree
from serving.serve_config import Pods, RuntimeSettings, render, routes

FOLLOWED = "mounted"
"""Version of the keys in a routing table: gateways follow the mounted file by themselves."""

MOVING = ("RayService", "Service")
"""Kinds of the objects that traffic moves by."""


def serve_config(runtime: Runtime) -> dict[str, Any]:
    """What Ray Serve is told of a runtime: the same as on every target, placed on its pods."""
    target = runtime.shape.target
    settings = RuntimeSettings(
        home=names.HOME,
        host="0.0.0.0",  # noqa: S104 - a pod's own address; network policies say who reaches it
        port=names.HTTP_PORT,
        metrics_port=names.OPS_PORT,
        pods=Pods(gateways=target.gateways, keys=f"{names.KEYS}/{names.KEYS_FILE}"),
    )
    shares = {(runtime.service, number): share for number, share in runtime.shares.items()}
    table: Mapping[str, Any] = routes(runtime.releases, shares, FOLLOWED)
    if runtime.closing:
        table = {**table, "closing": True}
    return render(runtime.releases, table, settings, runtime.generation)


def objects(
    desired: Desired, namespace: str, api_server: tuple[str, ...], claimed: int = 0
) -> tuple[Manifest, ...]:
    """Every object of the service, in the order in which they are applied."""
    state = ServiceState(
        service=desired.service,
        namespace=namespace,
        runtimes=desired.runtimes,
        active=desired.active,
        api_server=api_server,
        claimed=claimed,
    )
    return tree(state, {runtime.id: serve_config(runtime) for runtime in desired.runtimes})


def moving(manifests: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """Those of the objects that traffic moves by: the runtimes, and the Service."""
    return tuple(m for m in manifests if m["kind"] in MOVING)


def around(manifests: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """The others: what stands around the runtimes."""
    return tuple(m for m in manifests if m["kind"] not in MOVING)
