"""The gateway inside Serve: a deployment that runs the endpoint's server itself.

Serve's own HTTP proxy is off. It would be one more hop, and it answers `/-/routes` and
`/-/healthz` before any application is asked. Here uvicorn listens on the endpoint's port in the
gateway's replica, so what is reachable is what the gateway's allowlist says and nothing else.
Serve still supervises it, and hands it the routing table as `user_config` without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from grpc.aio import AioRpcError
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from llmops.errors import LlmopsError
from serving.gateway import (
    App,
    Audit,
    Book,
    GatewayConfig,
    KeyRing,
    Limiter,
    Metrics,
    Ops,
    RecordedLimiter,
    ReleaseRef,
    Saved,
    ServerTls,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
    UpstreamResponse,
    gateway_server,
)
from serving.runtime import board, loopback
from serving.runtime.dying import EngineAwayError, EngineDiedError, laid_to_requests
from serving.runtime.heartbeat import beat
from serving.runtime.limits import SharedLimiter
from serving.runtime.paths import RuntimePaths
from serving.runtime.versions import versions
from serving.runtime.watching import Watch
from serving.serve_config import ANSWERED_BY, ANSWERED_WITH, GATEWAY, REPLICA, application_name

if loopback.wanted():
    loopback.keep_serve_on_loopback()
log = logging.getLogger("llmops.gateway")

CERTIFICATE_EVERY = 2.0
"""Seconds between looks at the certificate's files."""

KEYS_EVERY = 2.0
"""Seconds between looks at keys that change by themselves."""

CANARY_EVERY = 60.0
"""Seconds without a real generation after which the gateway makes one of its own."""


AWAY, AGAIN = 10.0, 0.2
"""Seconds for which a replica whose engine is dead may still be there, and between two tries."""


class _EngineAway(UpstreamGone):
    """A replica's engine was dead before the request came."""


class ServeUpstream:
    """Requests to a release's replicas, over its Serve handle.

    Args:
        deaths: Where replicas of this machine leave word of their deaths.
    """

    def __init__(self, deaths: Path) -> None:
        self._deaths = deaths
        self._handles: dict[str, Any] = {}
        self._engines: dict[ReleaseRef, int] = {}
        """Whose engine answers for a release, where that is another's."""
        self._models: dict[ReleaseRef, dict[str, str]] = {}
        """The model names that a release has beside the service's: digests of their adapters."""

    def _handle(self, release: ReleaseRef) -> Any:
        engine = self._engines.get(release, release.number)
        name = application_name(release.service, engine)
        if name not in self._handles:
            try:
                handle = serve.get_deployment_handle(REPLICA, name)
            except KeyError as error:
                raise UpstreamGone(f"{name} does not run") from error
            self._handles[name] = handle.options(stream=True, method_name="handle")
        return self._handles[name]

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` to one of the release's replicas. One whose engine was dead before has not
        been asked, and is about to end: then it is sent again.

        Raises:
            UpstreamGone: When the replica died or is not there.
            UpstreamBusy: When every replica is full.
        """
        until = time.monotonic() + AWAY
        while True:
            try:
                return await self._sent(release, request)
            except _EngineAway:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(AGAIN)

    async def _sent(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        # A replica that an earlier version has started, while this one is installed already, takes
        # no release and names none: it is told only where an engine answers for several.
        hosted = release in self._engines
        asked: tuple[int | str, ...] = (release.number,) if hosted else ()
        if request.model:
            asked = (release.number, request.model)
        handle = self._handle(release)
        if request.session:
            handle = handle.options(session_id=request.session)
        pieces = handle.remote(request.method, request.path, request.headers, request.body, *asked)
        try:
            with self._translated(pieces):
                status, headers, *ready = await anext(pieces)
        except asyncio.CancelledError:
            pieces.cancel()  # the client has gone: nobody waits for what the engine would generate
            raise
        if hosted or ANSWERED_BY in dict(headers):
            _check_answered(release, headers)
        if request.model:
            _check_model(release, request.model, self._models.get(release, {}), headers)
        return UpstreamResponse(status=status, headers=headers, body=self._body(pieces, *ready))

    @contextlib.contextmanager
    def _translated(self, pieces: Any, *, begun: bool = False) -> Iterator[None]:
        try:
            yield
        except BackPressureError as error:
            raise UpstreamBusy("every replica is busy") from error
        except RayTaskError as error:
            raise _failed(error.cause, begun=begun) from None
        except (RayActorError, AioRpcError) as error:
            # Of gRPC's codes Serve takes only UNAVAILABLE for a lost replica (its
            # `replica_result`), and hands the others on as they are.
            died = laid_to_requests(self._deaths, _actor(pieces))
            raise UpstreamGone(f"the replica is gone ({type(error).__name__})", died=died) from (
                error
            )
        except (RayError, RayServeException, StopAsyncIteration) as error:
            raise UpstreamGone(f"the replica is gone ({type(error).__name__})") from error
        except Exception as error:  # noqa: BLE001 - by gRPC what a replica raised comes as it was
            raise _failed(error, begun=begun) from None

    async def _body(self, pieces: Any, ready: bytes = b"") -> AsyncIterator[bytes]:
        """The answer's body, from what came with its head on; closing it early tells the engine to
        stop generating."""
        ended = False
        try:
            if ready:
                yield ready
            with self._translated(pieces, begun=True):
                async for piece in pieces:
                    yield piece
            ended = True
        finally:
            if not ended:
                pieces.cancel()

    def follow(self, services: Mapping[str, Any]) -> None:
        """Go by a routing table: whose engine answers for which release. Handles of applications
        that it no longer names are dropped."""
        releases = [(name, entry) for name, t in services.items() for entry in t["releases"]]
        self._engines = {
            ReleaseRef(name, entry["release"]): entry["engine"]
            for name, entry in releases
            if "engine" in entry
        }
        self._models = {
            ReleaseRef(name, entry["release"]): entry["models"]
            for name, entry in releases
            if "models" in entry
        }
        known = {application_name(n, e.get("engine", e["release"])) for n, e in releases}
        for name in set(self._handles) - known:
            del self._handles[name]


def _failed(error: Exception, *, begun: bool) -> Exception:
    """What is made of an error that a replica itself has raised."""
    if isinstance(error, EngineAwayError):
        return _EngineAway("the engine has died before")
    if isinstance(error, EngineDiedError):
        return UpstreamGone("the engine has died", died=error.death)
    # The replica lives, and failed at this request: sending it again would be no help.
    return UpstreamGone("the replica failed amid its answer") if begun else error


def _actor(pieces: Any) -> str:
    """Id of the actor of the replica that answers, which Serve's generator keeps to itself; one
    name for all where it knows of none."""
    actor = getattr(getattr(pieces, "_replica_result", None), "_actor_id", None)
    return actor.hex() if actor is not None else "unknown"


def _check_answered(release: ReleaseRef, headers: list[tuple[str, str]]) -> None:
    """Pass on no answer of another release than was asked: an engine may answer for several.

    Raises:
        UpstreamGone: When it is another's.
    """
    told = dict(headers).get(ANSWERED_BY)
    if told != str(release.number):
        raise UpstreamGone(f"release {told} has answered for release {release.number}")


def _check_model(
    release: ReleaseRef, model: str, digests: Mapping[str, str], headers: list[tuple[str, str]]
) -> None:
    """Pass on no answer under a model name that another adapter than its own has given.

    Raises:
        UpstreamGone: When one has, or none.
    """
    told = dict(headers).get(ANSWERED_WITH)
    if told is None or told != digests.get(model):
        raise UpstreamGone(
            f"release {release.number} has answered as {model} with the adapter {told}"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or asyncio leaves Nagle's algorithm on: 44 ms for each small answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    return listener


class Gateway:
    """Hosts the gateway's app; knows which generation of the routing table it uses."""

    async def __init__(self, args: dict[str, Any]) -> None:  # type: ignore[misc]
        paths = RuntimePaths(Path(args["home"]))
        self._keys = Path(args.get("keys", paths.keys))
        self._upstream = ServeUpstream(paths.deaths)
        self._metrics = Metrics()
        # Bound here, so that a port that is taken fails the start and not a request; and before the
        # counts are read, which whoever has the port may still change.
        endpoint = _listen(args["host"], args["port"])
        limiter, kept = _limiter(paths, shared="keys" in args)
        self._app = App(
            GatewayConfig.empty(),
            KeyRing(self._keys, mounted="keys" in args),
            self._upstream,
            metrics=self._metrics,
            audit=Audit(paths.audit),
            limiter=limiter,
            secret=board.secret("sessions"),
        )
        self._tls = ServerTls(*map(Path, args["tls"])) if "tls" in args else None
        ops = _listen(args["host"] if "keys" in args else "127.0.0.1", args["metrics_port"])
        self._tasks = [
            asyncio.create_task(self._serve(self._app, endpoint, self._tls)),
            asyncio.create_task(
                self._serve(self._ops(paths.audit if "keys" in args else None), ops, None)
            ),
            asyncio.create_task(self._canary()),
            asyncio.create_task(self._watch().run()),
            asyncio.create_task(kept),
        ]
        self._tasks.append(asyncio.create_task(self._follow_keys(mounted="keys" in args)))
        self._tasks.append(asyncio.create_task(beat()))
        if self._tls is not None:
            self._tasks.append(asyncio.create_task(self._follow_certificate(self._tls)))

    async def _serve(self, app: Any, listener: socket.socket, tls: ServerTls | None) -> None:
        server = gateway_server(app, tls=tls.context if tls else None)
        await server.serve(sockets=[listener])

    def _ops(self, audit: Path | None) -> Ops:
        return Ops(self._app, self._metrics.app(), versions(), _replica_addresses, audit)

    def _watch(self) -> Watch:
        return Watch(self._app, serve.get_replica_context().replica_id.unique_id)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Called by Serve with a new routing table; takes effect at once."""
        config = GatewayConfig.parse(user_config)
        # First, so that no request of the new table goes the old way.
        self._upstream.follow(user_config["services"])
        self._app.reconfigure(config)

    async def state(self) -> dict[str, Any]:
        """Generation acknowledged, requests in flight, last generations and rates by service."""
        return self._app.state() | ({"tls": self._tls.state()} if self._tls else {})

    async def check_health(self) -> None:
        """A server task that has ended means that nobody listens: Serve then restarts this."""
        for task in self._tasks:
            if task.done():
                raise RuntimeError("a server of the gateway has ended") from task.exception()

    async def _follow_certificate(self, tls: ServerTls) -> None:
        """Take over a certificate that was renewed; say so, and when it cannot be."""
        while True:
            await asyncio.sleep(CERTIFICATE_EVERY)
            before = tls.state()["error"]
            if tls.look():
                log.warning("a renewed certificate is in use")
            elif (error := tls.state()["error"]) and error != before:
                log.warning("the certificate in use is kept: %s", error)

    async def _follow_keys(self, *, mounted: bool) -> None:
        """Take over keys that change by themselves: the kubelet updates a mounted Secret, and a
        command that was killed has told nobody of the key that it wrote."""
        while True:
            await asyncio.sleep(KEYS_EVERY)
            # A damaged file keeps the keys that were good: the next look finds it mended.
            with contextlib.suppress(LlmopsError):
                if (
                    KeyRing.version_of(self._keys, mounted=mounted)
                    != self._app.state()["keys_version"]
                ):
                    self._app.reload_keys()

    async def _canary(self) -> None:
        """Keep `/health` honest while nobody asks: one token from each quiet service."""
        while True:
            await asyncio.sleep(5.0)
            for release in self._app.quiet(CANARY_EVERY):
                # Also when a replica fails at it, as one whose adapter cannot be loaded does: where
                # this task ends, Serve takes the whole gateway for ended.
                with contextlib.suppress(UpstreamGone, UpstreamBusy, TimeoutError, RayError):
                    await asyncio.wait_for(self._generate(release), 30.0)

    async def _generate(self, release: ReleaseRef) -> None:
        body = json.dumps({"model": release.service, "prompt": "1", "max_tokens": 1}).encode()
        request = UpstreamRequest(
            method="POST",
            path="/v1/completions",
            headers=[("content-type", "application/json")],
            body=body,
            request_id=f"canary-{time.time_ns()}",
        )
        answer = await self._upstream.send(release, request)
        async for _ in answer.body:
            pass
        if answer.status == 200:
            self._app.note_generation(release.service, release.number)


def _limiter(paths: RuntimePaths, *, shared: bool) -> tuple[Limiter, Coroutine[Any, Any, None]]:
    """Who counts what keys use, and what keeps that; `shared` where there may be other gateways."""
    if shared:
        limiter = SharedLimiter()
        return limiter, limiter.keep()
    book, saved = Book(), Saved(paths.usage)
    saved.open(book, time.time())
    recorded = RecordedLimiter(book, saved, time.time)
    return recorded, recorded.keep()


async def _replica_addresses() -> dict[str, list[str]]:
    """Addresses of the nodes that each application's replicas are on, as Serve says; of those that
    start too, whose pods are as little to be given up."""
    from ray.serve.context import _get_global_client

    details = await asyncio.to_thread(lambda: _get_global_client().get_serve_details())
    return {name: list(_running_on(app)) for name, app in details["applications"].items()}


def _running_on(app: dict[str, Any]) -> Iterator[str]:
    for deployment in app.get("deployments", {}).values():
        for replica in deployment.get("replicas", []):
            if replica.get("state") != "STOPPING" and replica.get("node_ip"):
                yield str(replica["node_ip"])


def build(args: dict[str, Any]) -> serve.Application:
    """Serve's entry point for the gateway's application."""
    deployment = serve.deployment(name=GATEWAY)(Gateway)
    return deployment.bind(args)
