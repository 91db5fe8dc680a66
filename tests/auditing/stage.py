"""A gateway over real sockets, with a fake release behind it, for audits to look at.

The app, its server, its keys and its limits are the real ones; `FakeUpstream` stands for the engine
and answers whatever reaches it, so what gets past a defence that is off is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from llmops.events import Flow
from llmops.planning import Limits
from llmops.policies import Finding
from llmops.targets import KeyInfo
from serving.auditing import Address, Promises, Report, audit
from serving.gateway import Key, create_key, gateway_server, revoke_key
from tests.gateway.fakes import Gate

LIMITS = Limits(requests_per_minute=600, max_body=65536, max_tokens=100, max_choices=4)
"""Those of `Gate`."""

PROMISES = Promises("tiny", LIMITS, context=2048, others=("other",))


class GateKeys:
    """Makes keys as a target does: the gateway knows them, and their end, at once."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        made, text = create_key(
            self._gate.keys_file, service, name, expires_at=expires_at, models=models
        )
        self._gate.app.reload_keys()
        return info(made), text

    def revoke_key(self, service: str, name: str) -> Key:
        revoked = revoke_key(self._gate.keys_file, service, name)
        self._gate.app.reload_keys()
        return revoked


class Forgetful(GateKeys):
    """Revokes keys in the file, and tells the gateway nothing."""

    def revoke_key(self, service: str, name: str) -> Key:
        return revoke_key(self._gate.keys_file, service, name)


class Everlasting(GateKeys):
    """Makes keys that never end, whatever was asked for."""

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        return super().create_key(service, name, models=models)


def info(key: Key) -> KeyInfo:
    return KeyInfo(key.id, key.name, key.created_at, key.revoked_at, key.expires_at, key.models)


@contextlib.contextmanager
def served(app: Any, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve an app on a loopback port by the gateway's own server; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = gateway_server(app, tls=tls)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
    )
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def handled(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve by a handler of the standard library; yields the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Stage:
    """What audits of a gateway are made with."""

    gate: Gate
    make: Callable[[Gate], GateKeys] = GateKeys
    promises: Promises = PROMISES

    def promising(self, **fields: Any) -> Stage:
        return replace(self, promises=replace(self.promises, **fields))

    def audit(self, address: Address, *only: str) -> Report:
        """Audit from outside, or make only the checks of these ids."""
        return ran(audit(self.make(self.gate), address, self.promises, (), only=only))

    def served(self, *only: str) -> Report:
        """Serve the gateway and audit it."""
        with served(self.gate.app) as port:
            return self.audit(local(port), *only)


def ran(flow: Flow[Report]) -> Report:
    while True:
        try:
            next(flow)
        except StopIteration as end:
            report: Report = end.value
            return report


def local(port: int) -> Address:
    return Address.of(f"http://127.0.0.1:{port}/v1")


def ids(report: Report) -> set[str]:
    return {finding.id for finding in report.found}


def one(report: Report, identifier: str) -> Finding:
    """The first finding of an id; fails with what was found instead."""
    found = [finding for finding in report.found if finding.id == identifier]
    assert found, [f"{f.id}: {f.message}: {f.proof}" for f in report.findings]
    return found[0]


def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made
