"""The door in a process of its own: the real gateway, keys, limits, audit and HTTP server.

`python -m tests.chaos.door_program HOME HEAD BODY STALL OFF LOOP` listens on loopback, prints one
line of JSON (its ports and keys) and serves until its standard input ends. The deadlines are in
seconds; at `patient_port` the same app has the server's own. OFF names a defence that is switched
off, and is empty for none; LOOP is `asyncio` or `uvloop`, as Ray has it where that is installed.
It is what `serving.runtime.gateway_app` hosts inside Serve, with `FakeEngine` for the replicas.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import time
from pathlib import Path

import uvloop

from serving.gateway import (
    OPERATOR,
    App,
    Audit,
    Book,
    GatewayConfig,
    KeyRing,
    Metrics,
    RecordedLimiter,
    Saved,
    create_key,
    gateway_server,
    server,
)
from tests.chaos.fake_engine import FakeEngine
from tests.chaos.mutations import MUTATIONS

SHARES = {"tiny": 100, "other": 0}
"""Services, and how much their one release serves."""
LIMITS = {
    "requests_per_minute": 10**9,
    "max_body": 2**20,  # the spec's default
    "max_tokens": 20_000,
    "max_choices": 4,
}
CONTEXT = 32_768


def table() -> GatewayConfig:
    """The services, limited in what one request may ask for."""
    services = {
        name: {
            "releases": [{"release": 1, "share": share}],
            "limits": LIMITS,
            "context": CONTEXT,
        }
        for name, share in SHARES.items()
    }
    return GatewayConfig.parse({"generation": 1, "keys_version": "1", "services": services})


def make_keys(file: Path) -> dict[str, str]:
    """A key of a caller, one of its neighbour, one of another service, and the operator's."""
    wanted = {
        "caller": ("tiny", "caller"), "neighbour": ("tiny", "neighbour"),
        "stranger": ("other", "stranger"), "operator": ("tiny", OPERATOR),
    }  # fmt: skip
    return {who: create_key(file, *asked)[1] for who, asked in wanted.items()}


async def serve(home: Path, head: float, body: float, stall: float) -> None:
    keys = make_keys(home / "keys.json")
    book, saved = Book(), Saved(home / "usage.json")
    saved.open(book, time.time())
    limiter = RecordedLimiter(book, saved, time.time)
    app = App(
        table(),
        KeyRing(home / "keys.json"),
        FakeEngine(),
        metrics=Metrics(),
        audit=Audit(home / "audit.jsonl"),
        body_deadline=body,
        limiter=limiter,
    )
    app.note_generation("tiny", 1)  # as the gateway's own canary does at its start
    servers = {
        "port": gateway_server(app, head_deadline=head, stall_deadline=stall),
        "patient_port": gateway_server(app),
    }
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in servers}
    running = [asyncio.create_task(limiter.keep())]
    running += [
        asyncio.create_task(server.serve(sockets=[listeners[name]]))
        for name, server in servers.items()
    ]
    while not all(s.started for s in servers.values()):  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)  # what they log of their start comes first
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    print(json.dumps({**ports, "keys": keys}), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # the test has ended, in whatever way
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    home, *deadlines = sys.argv[1:5]
    off, loop, idle = sys.argv[5:]
    server.KEEP_ALIVE = int(idle)
    if off:
        MUTATIONS[off].off()
    run = uvloop.run if loop == "uvloop" else asyncio.run
    run(serve(Path(home), *map(float, deadlines)))
