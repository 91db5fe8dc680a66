"""The doors that are measured, each in processes of its own: whom to ask, and whose effort counts.

    python -m benchmarks.door_sides gateway|serve|engine HOME

prints one line of JSON and serves until its standard input ends. All stand before the engine that
is none (`door_engine`). LiteLLM is its own program, from a virtual environment in
`.cache/benchmarks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.door_engine import MODEL
from benchmarks.sides import free_port
from serving.runtime.launcher import SERVE_SETTINGS

ROOT = Path(__file__).parents[1]
LITELLM = "litellm[proxy]==1.108.7"
KEY = "sk-of-a-benchmark"
READY = 180.0
PLACES = 32
"""Requests that an engine answers at once, where it is one that can be overloaded."""
LIMITS = {
    "requests_per_minute": 10**9,
    "max_body": 2**20,
    "max_tokens": 20_000,
    "max_choices": 4,
}


@dataclass(frozen=True)
class Side:
    """A door that runs."""

    name: str
    url: str
    """Of its OpenAI API, up to `/v1`."""
    key: str
    processes: tuple[psutil.Process, ...]
    """Whose effort and memory are the door's; their children count as well."""
    notes: dict[str, Any] = field(default_factory=dict)

    def effort(self) -> float:
        """Seconds of the processor that the door has taken."""
        times = [one.cpu_times() for one in self._all()]
        return float(sum(one.user + one.system for one in times))

    def memory(self) -> int:
        """Bytes that it holds now."""
        return int(sum(one.memory_info().rss for one in self._all()))

    def _all(self) -> list[psutil.Process]:
        return [p for one in self.processes for p in (one, *one.children(recursive=True))]


@contextlib.contextmanager
def opened(kind: str) -> Iterator[dict[str, Any]]:
    """What a side of ours tells of itself while it runs."""
    with tempfile.TemporaryDirectory(prefix="door-") as home:
        command = [sys.executable, "-m", "benchmarks.door_sides", kind, home]
        log = Path(home) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | SERVE_SETTINGS,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            if not said:
                raise SystemExit(f"{kind} did not begin: {log.read_text()[-2000:]}")
            yield {"pid": process.pid, **json.loads(said)}
        finally:
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def litellm(engine: str) -> Iterator[Side]:
    """LiteLLM's proxy before an engine over HTTP, with one key and as little else as it can have:
    one worker, no callbacks, no database, errors alone in its log."""
    program = _environment() / "bin/litellm"
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}", "api_base": engine, "api_key": "none",
                },
            }
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"callbacks": [], "num_retries": 0, "request_timeout": 600},
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="litellm-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(config))
        command = [str(program), "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        environment = os.environ | {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would ask the internet for prices
            "DISABLE_ADMIN_UI": "True",
        }
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            side = Side(
                "LiteLLM", f"http://127.0.0.1:{port}/v1", KEY, (psutil.Process(process.pid),)
            )
            _until_it_answers(side, process, Path(folder) / "log")
            yield side
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _environment() -> Path:
    folder = ROOT / ".cache/benchmarks/litellm"
    if not (folder / "bin/litellm").exists():
        uv = str(ROOT / ".cache/uv/bin/uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        python = str(folder / "bin/python")
        subprocess.run([uv, "pip", "install", "-q", "--python", python, LITELLM], check=True)
    return folder


def _until_it_answers(side: Side, process: subprocess.Popen[bytes], log: Path) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    headers = {"authorization": f"Bearer {side.key}"}
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(f"{side.url}/chat/completions", json=body, headers=headers)
            if answer.status_code == 200:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{side.name} did not begin: {log.read_text()[-2000:]}")
        time.sleep(0.2)


def table(**limits: int) -> dict[str, Any]:
    """The routing table: one release that serves all, and limits that refuse nothing here, but for
    further ones."""
    services = {
        MODEL: {
            "releases": [{"release": 1, "share": 100}],
            "limits": LIMITS | limits,
            "context": 32_768,
        }
    }
    return {"generation": 1, "keys_version": "1", "services": services}


async def gateway(home: Path, kind: str) -> None:
    """The gateway with keys, limits and audit, and the engine in its own process. For the kinds
    `queued` and `unqueued` the engine has `PLACES`, and the gateway knows of it or does not."""
    from benchmarks.door_engine import Fake
    from serving.gateway import (
        App,
        Audit,
        Book,
        GatewayConfig,
        KeyRing,
        Metrics,
        RecordedLimiter,
        ReleaseRef,
        Replicas,
        Saved,
        create_key,
        gateway_server,
    )

    _, key = create_key(home / "keys.json", MODEL, "caller")
    book, saved = Book(), Saved(home / "usage.json")
    saved.open(book, time.time())
    limiter = RecordedLimiter(book, saved, time.time)
    app = App(
        GatewayConfig.parse(table(**({"in_flight": PLACES} if kind == "queued" else {}))),
        KeyRing(home / "keys.json"), Fake(None if kind == "gateway" else PLACES),
        metrics=Metrics(), audit=Audit(home / "audit.jsonl"), limiter=limiter,
    )  # fmt: skip
    app.know({ReleaseRef(MODEL, 1): Replicas(1)}, 1)
    app.note_generation(MODEL, 1)
    await _serve(gateway_server(app), key, limiter.keep())


async def engine() -> None:
    """The engine that is none, by itself, over HTTP."""
    import uvicorn

    from benchmarks.door_engine import app

    await _serve(uvicorn.Server(uvicorn.Config(app, log_level="warning")), "none")


async def _serve(server: Any, key: str, *more: Any) -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    running = [asyncio.create_task(one) for one in more]
    running.append(asyncio.create_task(server.serve(sockets=[listener])))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    _tell({"port": listener.getsockname()[1], "key": key})
    await asyncio.to_thread(sys.stdin.read)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def serve(home: Path) -> None:
    """The gateway inside Serve, as a deploy makes it, over a handle to the engine's replica; and,
    beside it, an ingress of Serve's own with the same engine behind Serve's proxy."""
    from benchmarks import door_serve

    door_serve.run(home, table(), _tell)


def _tell(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kind, place = sys.argv[1], Path(sys.argv[2])
    if kind == "serve":
        serve(place)
    else:
        asyncio.run(engine() if kind == "engine" else gateway(place, kind))
