"""The host: the one process that starts Ray and Serve, and offers control of them.

Run as `python -m serving.runtime.host HOME ADDRESS PORT [CERT KEY]`. It knows nothing of releases:
it applies the config it is handed, tells what is there, and has a watch gone on with whose command
is gone (`minding`). Its control API listens on a Unix socket in a directory that only its user can
enter; it has no other door.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from serving.lives import life
from serving.runtime import anew
from serving.runtime.housekeeping import keep_house, note_shared
from serving.runtime.launcher import free_port
from serving.runtime.minding import Minder
from serving.runtime.paths import ANEW, LOOPBACK_ONLY, NODE_ADDRESS, RuntimePaths
from serving.runtime.versions import versions
from serving.runtime.warden import STAYED, Warden
from serving.serve_config import GATEWAY, GATEWAY_RESOURCE, REPLICA, REPLICA_RESOURCE

OBJECT_STORE = 96 * 2**20
"""Bytes of Ray's object store: requests and answers pass by gRPC, so it stays nearly empty."""

log = logging.getLogger("llmops.host")


class Host:
    """Ray and Serve, and what can be asked of them."""

    def __init__(self, home: Path, address: str, port: int, tls: list[str]) -> None:
        self._paths = RuntimePaths(home)
        self._kept = anew.kept(self._paths)
        self._endpoint: dict[str, Any] = {
            "host": address,
            "port": port,
            "metrics_port": anew.metrics_port(self._kept) if self._kept else free_port(),
            "tls": tls or None,
        }
        self._started_at = psutil.Process().create_time()
        self._minder = Minder(home)

    def start(self) -> None:
        """Start Ray and Serve in this process's own session; takes some ten seconds."""
        import ray
        from ray import serve

        address = os.environ.get(NODE_ADDRESS)
        ray.init(
            address="local",
            num_cpus=max(2, os.cpu_count() or 2),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            configure_logging=False,
            namespace="serve",
            _temp_dir=str(self._paths.ray),
            **_of_several(address),
        )
        if address:
            self._endpoint["ray"] = ray.get_runtime_context().gcs_address
        serve.start(proxy_location="Disabled")

    def resume(self) -> None:
        """Have Serve run what it ran before this host began anew, if it did."""
        if self._kept is not None:
            self.apply(self._kept)
            self._minder.follow(self._kept)

    def record(self) -> None:
        """Say who the host is: a later command finds it, and does not believe a reused pid."""
        told = {"pid": os.getpid(), "life": life(os.getpid()), "versions": versions()}
        record = told | self._endpoint
        whole = self._paths.host_record.with_suffix(".new")
        whole.touch(mode=0o600)
        whole.write_text(json.dumps(record))
        whole.replace(self._paths.host_record)  # whoever looks must find all of it

    def stop(self) -> None:
        """End Serve's replicas gracefully, then Ray."""
        import ray
        from ray import serve

        serve.shutdown()
        ray.shutdown()

    def apply(self, config: dict[str, Any]) -> None:
        """Hand Serve the whole config."""
        from ray.serve.context import _get_global_client
        from ray.serve.schema import ServeDeploySchema

        client = _get_global_client()
        client.deploy_apps(ServeDeploySchema.model_validate(config))

    def applications(self) -> dict[str, Any]:
        """Serve's applications as plain data: status, message, replicas."""
        from ray.serve.context import _get_global_client

        from serving.runtime import board

        details = _get_global_client().get_serve_details()
        found = {name: _application(app) for name, app in details["applications"].items()}
        return {name: app | {"scaling": board.decision(name)} for name, app in found.items()}

    async def gateway(self) -> dict[str, Any] | None:
        """What the gateway tells of itself; None while it does not run."""
        from ray import serve

        try:
            handle = serve.get_deployment_handle(GATEWAY, GATEWAY)
            state: dict[str, Any] = await asyncio.wait_for(handle.state.remote(), 5.0)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from answering, it is not there
            log.info("gateway does not answer: %s", type(error).__name__)
            return None
        return state

    def held(self) -> dict[str, Any]:
        """The config of each application as Serve holds it."""
        from ray.serve.context import _get_global_client

        details = _get_global_client().get_serve_details()
        return {name: app["deployed_app_config"] for name, app in details["applications"].items()}

    async def inside(self, _request: Request) -> Response:
        applications = await asyncio.to_thread(self.held)
        releases = [name for name in applications if name != GATEWAY]
        told = await asyncio.gather(*(self._inside(name) for name in releases))
        replicas = dict(zip(releases, told, strict=True))
        return JSONResponse({"applications": applications, "replicas": replicas})

    async def _inside(self, name: str) -> dict[str, Any] | None:
        """What one replica says of its engine; None where none runs, or it does not answer."""
        from ray import serve

        try:
            handle = serve.get_deployment_handle(REPLICA, name)
            told: dict[str, Any] = await asyncio.wait_for(handle.inside.remote(), 10.0)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from answering, it is not known
            log.info("%s does not tell of its engine: %s", name, type(error).__name__)
            return None
        return told

    async def state(self, _request: Request) -> Response:
        applications = await asyncio.to_thread(self.applications)
        running = applications.get(GATEWAY, {}).get("status") == "RUNNING"
        return JSONResponse(
            {
                "pid": os.getpid(),
                "started_at": self._started_at,
                "endpoint": self._endpoint,
                "applications": applications,
                "gateway": await self.gateway() if running else None,
            }
        )

    async def config(self, request: Request) -> Response:
        document = await request.json()
        # What it ends now may leave its segments, and was perhaps never looked at.
        with contextlib.suppress(OSError):  # a full disk is told where the house is kept
            await asyncio.to_thread(note_shared, self._paths)
        try:
            await asyncio.to_thread(self.apply, document)
        except Exception as error:  # Serve raises many kinds; each is told to the caller
            log.exception("config refused")
            return PlainTextResponse(f"{type(error).__name__}: {error}", status_code=400)
        self._minder.follow(document)
        anew.keep(self._paths, document)
        return PlainTextResponse("ok")

    async def alive(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    @contextlib.asynccontextmanager
    async def _minding(self, _app: Starlette) -> AsyncIterator[None]:
        stayed = STAYED if ANEW in os.environ else 0.0
        warden = Warden(self._fallen, stayed=stayed)
        minding = (self._minder.run(), warden.run(), keep_house(self._paths))
        tasks = [asyncio.create_task(one) for one in minding]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fallen(self, why: str, again: bool) -> None:
        """Begin anew, where no other machine would have to find this Ray again."""
        if again and NODE_ADDRESS not in os.environ:
            anew.begin(why)
        anew.give_up(self._paths, why)

    def control_app(self) -> Starlette:
        """The control API; while it is up, what nobody else looks after is minded here."""
        return Starlette(
            lifespan=self._minding,
            routes=[
                Route("/alive", self.alive),
                Route("/state", self.state),
                Route("/inside", self.inside),
                Route("/config", self.config, methods=["PUT"]),
            ],
        )


def _application(app: dict[str, Any]) -> dict[str, Any]:
    deployments = app.get("deployments", {}).values()
    messages = [app.get("message"), *(deployment.get("message") for deployment in deployments)]
    return {
        "status": _name(app["status"]),
        "message": " ".join(message for message in messages if message),
        "replicas": [
            {
                "id": replica.get("replica_id"),
                "state": _name(replica.get("state")),
                "pid": replica.get("pid"),
                "memory": _memory(replica.get("pid")),
            }
            for deployment in deployments
            for replica in deployment.get("replicas", [])
        ],
    }


def _name(status: Any) -> str:
    """A status by name, whether Serve gave the enum's member or its value."""
    return str(getattr(status, "value", status))


def _memory(pid: int | None) -> int:
    """Bytes of a replica and its engine's processes, pages they share counted once."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_full_info().pss for member in family)
    except psutil.NoSuchProcess:
        return 0


def _of_several(address: str | None) -> dict[str, Any]:
    """What a Ray is told that further machines may join: where this one is, and that gateways
    belong here, where clients look for the endpoint."""
    if not address:
        return {}
    told: dict[str, Any] = {"resources": {GATEWAY_RESOURCE: 1, REPLICA_RESOURCE: 1}}
    return told if os.environ.get(LOOPBACK_ONLY) else told | {"_node_ip_address": address}


def _private(path: Path) -> socket.socket:
    """A socket that only this user can open: one that uvicorn makes is open to all (0666)."""
    os.umask(0o077)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def main() -> None:
    """Start, serve control until told to stop, stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    began = time.monotonic()
    anew.clear(RuntimePaths(Path(sys.argv[1])))
    host = Host(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    paths = RuntimePaths(Path(sys.argv[1]))
    host.record()
    host.start()
    host.resume()
    host.record()
    log.info("Ray and Serve are up after %.1f s", time.monotonic() - began)
    server = uvicorn.Server(uvicorn.Config(host.control_app(), log_level="warning"))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server.run(sockets=[_private(paths.control)])
    log.info("told to stop")
    host.stop()


if __name__ == "__main__":
    main()
