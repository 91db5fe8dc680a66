"""What operators and machines ask a gateway, on a port of its own that clients never reach.

`/state` is the routing table in use, with what is in flight: whoever moves traffic reads from it
that this gateway has followed. `/ready` says whether it may be given clients. `/leave`, which only
this machine may ask for, begins its end. `/audit` hands out the audit files, to whoever has llmops'
own key of the service. Anything else is a scrape. Nothing but the audit lines is secret.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from serving.gateway.app import App
from serving.gateway.audit_pages import audit_piece

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
        audit: The newest audit file, where the gateway is one service's alone; None where it is
            several services', whose callers are nothing to each other, and `/audit` is not there.
    """

    def __init__(
        self,
        app: App,
        metrics: Any,
        versions: Mapping[str, str],
        replicas: Replicas,
        audit: Path | None = None,
    ) -> None:
        self._app = app
        self._audit = audit
        self._replicas = replicas
        self._asked: asyncio.Future[Mapping[str, list[str]]] | None = None
        self._metrics = metrics
        self._versions = dict(versions)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path")
        if scope["type"] == "http" and path == "/audit" and self._audit is not None:
            await self._audited(scope, send, self._audit)
        elif scope["type"] != "http" or path not in ("/state", "/ready", "/leave"):
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

    async def _audited(self, scope: Any, send: Send, audit: Path) -> None:
        """Hand out a piece of the audit files."""
        keys = [value for name, value in scope["headers"] if name == b"x-api-key"]
        if len(keys) != 1 or not self._app.is_operator(keys[0].decode("latin-1")):
            await _reply(send, 401, {"status": "llmops' own key of the service opens this"})
            return
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        kind, after = (asked.get(name, [""])[0] for name in ("callers", "after"))
        try:
            piece = await asyncio.to_thread(audit_piece, audit, kind, after)
        except FileNotFoundError as error:
            await _reply(send, 410, {"status": str(error)})
        except (KeyError, ValueError):
            await _reply(send, 400, {"status": "no such callers, or no such place"})
        else:
            await _send(send, 200, "application/x-ndjson", piece.content, piece.headers())

    async def _leave(self, scope: Any, send: Send) -> None:
        client = scope.get("client") or ("", 0)
        if scope["method"] != "POST" or client[0] not in LOOPBACK:
            await _reply(send, 403, {"status": "only this machine may, by POST"})
            return
        self._app.leave()
        await _reply(send, 200, {"status": "leaving"})


async def _reply(send: Send, status: int, document: Mapping[str, Any]) -> None:
    await _send(send, status, "application/json", json.dumps(document).encode(), {})


async def _send(send: Send, status: int, kind: str, body: bytes, more: Mapping[str, str]) -> None:
    told = {"content-type": kind, "content-length": str(len(body)), **more}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
