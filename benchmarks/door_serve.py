"""Ray Serve with two doors to the engine that is none: the gateway, and an ingress of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

from benchmarks import door_engine
from benchmarks.door_engine import MODEL
from benchmarks.sides import free_port
from serving.engines import call
from serving.gateway import create_key
from serving.runtime.gateway_app import Gateway
from serving.serve_config import GATEWAY, REPLICA, application_name

OBJECT_STORE = 100 * 2**20
MANY = 1024


class Replica:
    """What the gateway's handle asks: as `serving.runtime.replica`, without an engine."""

    async def handle(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        release: int | None = None,  # noqa: ARG002 - a replica's signature
    ) -> AsyncGenerator[Any, None]:
        async for piece in call(door_engine.app, method, path, headers, body):
            yield piece


class Ingress:
    """An ingress as Serve's own guide has it: the body in, a stream out. No keys, no limits."""

    async def __call__(self, request: Request) -> StreamingResponse:
        replies = door_engine.replies(await request.body())
        status, headers = await anext(replies)
        return StreamingResponse(replies, status, dict(headers))


def run(home: Path, table: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Serve both until standard input ends; `tell` is given ports, the key and whose effort is
    whose."""
    _, key = create_key(home / "keys.json", MODEL, "caller")
    port, proxied = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="dr-") as sockets:
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
            object_store_memory=OBJECT_STORE, configure_logging=False, _temp_dir=sockets,
            namespace="serve", _node_ip_address="127.0.0.1",
        )  # fmt: skip
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": proxied})
            application = application_name(MODEL, 1)
            serve.run(_deployed(REPLICA, Replica).bind(), name=application, route_prefix=None)
            serve.run(_deployed("ingress", Ingress).bind(), name="bare", route_prefix="/bare")
            args = {
                "home": str(home), "host": "127.0.0.1", "port": port, "metrics_port": free_port(),
            }  # fmt: skip
            deployment = _deployed(GATEWAY, Gateway).options(user_config=table)
            serve.run(deployment.bind(args), name=GATEWAY, route_prefix=None)
            tell({
                "port": port, "proxied": proxied, "key": key,
                "replica": _pid_of(f"ServeReplica:{application}"),
                "ingress": _pid_of("ServeReplica:bare"),
                "gateway": _pid_of("ServeReplica:llmops-gateway"),
                "proxy": _pid_of("ProxyActor"),
            })  # fmt: skip
            sys.stdin.read()
        finally:
            serve.shutdown()
            ray.shutdown()


def _deployed(name: str, kind: type) -> Any:
    options = {"num_cpus": 0}
    return serve.deployment(name=name, max_ongoing_requests=MANY, ray_actor_options=options)(kind)


def _pid_of(title: str) -> int:
    """The process of this Ray whose title begins so."""
    import psutil

    driver = psutil.Process()
    family = driver.children(recursive=True)
    for one in family:
        if "".join(one.cmdline()[:1]).startswith(f"ray::{title}"):
            return int(one.pid)
    titles = [" ".join(one.cmdline())[:80] for one in family]
    raise SystemExit(f"no process of Ray is called {title}: {titles}")
