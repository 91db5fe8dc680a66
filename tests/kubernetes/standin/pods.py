"""What answers for gateway pods that nobody runs: the real gateway, in this process, by address.

One server listens on every address of the namespace; the address that a connection came in on says
which pod was meant. Each gateway pod has an endpoint of its own with the product's own code: App,
KeyRing, Ops, routing table from the Serve config, keys from the Secret. It leaves out the pod: no
image, no probes, no process that could die or be signalled; and the gateway's own canary. A pod
that is gone answers nothing more, but what it was answering it ends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from llmops.errors import LlmopsError
from serving.gateway import (
    App,
    Audit,
    GatewayConfig,
    KeyRing,
    Metrics,
    Ops,
    Upstream,
    gateway_server,
)
from tests.kubernetes.standin.serve import Replica

Replicas = Callable[[], Awaitable[Mapping[str, list[str]]]]
HTTP_PORT, OPS_PORT = 8000, 9090
KEYS_FILE = "keys.json"


@dataclass
class Delays:
    """Seconds between a change and a pod that has followed it."""

    table: float = 0.0
    tables: dict[str, float] = field(default_factory=dict)
    """By name of a pod; the others have `table`."""
    keys: float = 0.0
    """Until a changed Secret is in the pods' files: a kubelet takes a minute or more."""


class Gate:
    """The endpoint of one gateway pod."""

    def __init__(
        self,
        pod: str,
        home: Path,
        upstream: Upstream,
        versions: Mapping[str, str],
        replicas: Replicas,
    ) -> None:
        self.pod = pod
        self.audit_file = home / "audit.jsonl"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keys = home / KEYS_FILE
        self._secret = ""
        self._secret_since = 0.0
        self._audit = Audit(self.audit_file)
        metrics = Metrics()
        self.app = App(
            GatewayConfig.empty(),
            KeyRing(self._keys, mounted=True),
            upstream,
            metrics=metrics,
            audit=self._audit,
        )
        self.ops = Ops(self.app, metrics.app(), versions, replicas, self.audit_file)

    def follow_table(self, replica: Replica, table: Any, changed_at: float, now: float) -> None:
        """Take over a routing table once `changed_at` has come. Raises ValueError if it is none."""
        if replica.table != table and now >= changed_at:
            self.app.reconfigure(GatewayConfig.parse(table))
            replica.table = table

    def follow_keys(self, secret: Mapping[str, Any] | None, delay: float, now: float) -> None:
        """Write the keys' file as a kubelet would, and have it read as the gateway does."""
        text = (secret or {}).get("data", {}).get(KEYS_FILE, "")
        if text != self._secret:
            self._secret, self._secret_since = text, now
        written = base64.b64decode(text)
        late = now < self._secret_since + delay and self._keys.exists()
        if not text or late or (self._keys.exists() and self._keys.read_bytes() == written):
            return
        _write_private(self._keys, written)
        with contextlib.suppress(LlmopsError):
            self.app.reload_keys()

    def close(self) -> None:
        self._audit.close()


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    path.with_suffix(".new").replace(path)


class Door:
    """Two servers, of the endpoint and of the ops port, for every pod's address.

    Args:
        find: The gate at an address; None when nobody answers there.
    """

    def __init__(self, find: Callable[[str], Gate | None]) -> None:
        self._find = find
        self._servers: list[uvicorn.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Listen. Raises OSError when somebody else does."""
        for port, part in ((HTTP_PORT, "app"), (OPS_PORT, "ops")):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", port))
            server = gateway_server(_Port(self._find, part))
            self._servers.append(server)
            self._tasks.append(asyncio.create_task(server.serve(sockets=[listener])))

    async def close(self) -> None:
        """Hang up on everybody."""
        for server in self._servers:
            server.should_exit = server.force_exit = True
        await asyncio.gather(*self._tasks)


@dataclass(frozen=True)
class _Port:
    """One of the two ports, as an ASGI app: passes on to that part of whose address it is."""

    find: Callable[[str], Gate | None]
    part: str

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        gate = self.find(scope["server"][0])
        await getattr(gate, self.part, _nobody)(scope, receive, send)


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """What a refused connection looks like from behind a proxy, as near as HTTP comes to it."""
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": b"nothing answers at this address\n"})
