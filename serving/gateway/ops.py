"""What operators and machines ask a gateway, on a port of its own that clients never reach.

`/state` is the routing table in use, with what is in flight: whoever moves traffic reads from it
that this gateway has followed. `/ready` says whether it may be given clients. `/leave`, which only
this machine may ask for, begins its end. Anything else is a scrape. Nothing here is secret.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from serving.gateway.app import App

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LOOPBACK = frozenset({"127.0.0.1", "::1"})

Replicas = Callable[[], Awaitable[Mapping[str, list[str]]]]

REPLICAS_SECONDS = 2.0
"""For the runtime to say where replicas are; a caller waits longer than this for the answer."""


class Ops:
    """The ASGI app of the ops port.

    Args:
        app: The gateway whose state is told.
        metrics: What answers a scrape.
        versions: Of llmops, Ray and the engine, by name: a runtime that is not what its plan says
            is found out by these.
        replicas: Gives the addresses of the nodes that each application's replicas run on. While
            it cannot (the runtime's head may be away), `/state` says null, and tells all else.
    """

    def __init__(
        self, app: App, metrics: Any, versions: Mapping[str, str], replicas: Replicas
    ) -> None:
        self._app = app
        self._replicas = replicas
        self._asked: asyncio.Future[Mapping[str, list[str]]] | None = None
        self._metrics = metrics
        self._versions = dict(versions)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path")
        if scope["type"] != "http" or path not in ("/state", "/ready", "/leave"):
            await self._metrics(scope, receive, send)
        elif path == "/leave":
            await self._leave(scope, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await _reply(send, 405, {"status": "GET only"})
        elif path == "/state":
            own = {"versions": self._versions, "replicas": await self._where()}
            await _reply(send, 200, self._app.state() | own)
        else:
            ready = self._app.state()["generation"] > 0
            await _reply(send, 200 if ready else 503, {"status": "ready" if ready else "no table"})

    async def _where(self) -> Mapping[str, list[str]] | None:
        """Where replicas run; None when that is not known in time. One question at a time: those
        of callers that have given up must not pile up behind a head that is away."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._replicas())
        asked = self._asked
        await asyncio.wait({asked}, timeout=REPLICAS_SECONDS)
        if not asked.done():
            return None
        self._asked = None
        return None if asked.cancelled() or asked.exception() else asked.result()

    async def _leave(self, scope: Any, send: Send) -> None:
        client = scope.get("client") or ("", 0)
        if scope["method"] != "POST" or client[0] not in LOOPBACK:
            await _reply(send, 403, {"status": "only this machine may, by POST"})
            return
        self._app.leave()
        await _reply(send, 200, {"status": "leaving"})


async def _reply(send: Send, status: int, document: Mapping[str, Any]) -> None:
    body = json.dumps(document).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
