"""vLLM as an ASGI app in this process: its own OpenAI server, without a socket.

The app is vLLM's, whole, so chat, completions, sampling, structured output and tool calls behave
as vLLM documents them; which of its routes can be reached is the gateway's decision. This module
refuses to be a server of its own: no port is opened, nothing is listened on.

`environment` and `command` are pure; `start` is what needs vLLM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from llmops.planning import AdapterRoom
from serving.engines import warm
from serving.engines.settings import EngineRun, Place

PRELOAD = (
    "vllm.v1.engine.core",
    "vllm.v1.executor.multiproc_executor",
    "vllm.v1.worker.cpu_worker",
    "vllm.model_executor.models.llama",
)
"""What the engine core and its workers import; the fork server imports it once for all."""

GIB = 2**30

OPENING = (
    "VLLM_SERVER_DEV_MODE",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    "VLLM_ALLOW_INSECURE_SERIALIZATION",
    "VLLM_TORCH_PROFILER_DIR",
    "PYTHONOPTIMIZE",
)
"""Variables by which an engine is opened, or a check in it switched off (CVE-2026-41523)."""
TRUSTING = ("trust_remote_code", "enable_prompt_embeds", "allowed_local_media_path")
"""Arguments by which it trusts what it is sent, or what comes with a model."""

FIGURES = {"vllm:num_requests_waiting": "queued", "vllm:kv_cache_usage_perc": "kv_use"}
"""vLLM's metrics that say how full it is, and their names here."""
TOTALS = {"vllm:request_success_total": "finished", "vllm:generation_tokens_total": "generated"}
"""Those that say what it has done since it began, and their names here."""

STOP_WITHIN = 10.0
"""Seconds that the engine's helpers have to end; its processes have by then."""
UNCOMPILED = '{"mode": 1, "cudagraph_mode": "NONE"}'
"""What the CPU engine of a pipeline is told in place of `--enforce-eager`, with which it compiles
nothing either. Its warm-up makes the buffers in which later stages are handed what earlier ones
computed, and it warms up in no eager mode (`CPUWorker._should_warm_up_model`, vLLM 0.32): without
them the first request fails."""


def environment(run: EngineRun, place: Place | None = None) -> dict[str, str]:
    """Environment variables that this engine run needs, set before anything is imported."""
    settings = {
        # Nothing that the API of the development mode opens, no telemetry, no hub.
        "VLLM_SERVER_DEV_MODE": "0",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Shards of one machine meet on loopback, those of several on the network of their Ray.
        "VLLM_HOST_IP": place.address if place else "127.0.0.1",
        "VLLM_LOOPBACK_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": place.interface if place else "lo",
        "VLLM_CONFIGURE_LOGGING": "1",
        "VLLM_LOGGING_COLOR": "0",
    }
    if place is not None:
        settings["NCCL_SOCKET_IFNAME"] = f"={place.interface}"
    if run.device == "cpu":
        per_shard = max(1, -(-run.kv_cache_bytes // run.world // GIB))
        settings |= {
            "VLLM_CPU_KVCACHE_SPACE": str(per_shard),
            # vLLM binds threads through variables that OpenMP reads when it is loaded; in a forked
            # process it is loaded already. The number of threads is the plan's, and the kernel
            # places them.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(run.threads),
            # The engine runs eagerly; a helper that ranks log-probabilities would still be
            # compiled at the first request that asks for them, and hold everybody up for 17 s.
            "TORCHDYNAMO_DISABLE": "1",
        }
    return settings


def command(run: EngineRun, directory: Path, place: Place | None = None) -> list[str]:
    """Arguments of vLLM's server that say what the plan says.

    The user's own come first, so that what the plan decides cannot be overridden.
    """
    arguments: list[str] = []
    for name, value in sorted(run.args.items()):
        arguments += _argument(name.replace("_", "-"), value)
    arguments += [
        "--model", str(directory),
        "--served-model-name", run.service,
        "--dtype", run.dtype,
        "--max-model-len", str(run.context),
        "--tensor-parallel-size", str(run.tensor),
        "--disable-uvicorn-access-log",
        *([] if run.stats else ["--disable-log-stats"]),
    ]  # fmt: skip
    if run.adapter_rank:
        room = AdapterRoom(run.adapter_rank, run.adapter_count)
        arguments += [
            "--enable-lora",
            "--max-lora-rank", str(room.rank),
            "--max-loras", str(room.at_once),
            "--max-cpu-loras", str(room.kept),
        ]  # fmt: skip
    if run.device == "cpu":
        eager = ["--enforce-eager"] if place is None else [f"--compilation-config={UNCOMPILED}"]
        arguments += eager
    else:
        arguments += ["--kv-cache-memory-bytes", str(run.kv_cache_bytes // run.world)]
    if place is not None or (run.device == "cpu" and run.tensor > 1):
        arguments += ["--distributed-executor-backend", "mp"]
    return arguments if place is None else [*arguments, *_placed(run, place)]


def _placed(run: EngineRun, place: Place) -> list[str]:
    """One machine for each stage: its shards are this one's."""
    return [
        "--pipeline-parallel-size", str(run.pipeline),
        "--nnodes", str(run.pipeline),
        "--node-rank", str(place.rank),
        "--master-addr", place.meeting,
        "--master-port", str(place.port),
        *(["--headless"] if place.rank else []),
    ]  # fmt: skip


def _argument(name: str, value: Any) -> list[str]:
    """One of the user's arguments. Whatever its value is, it cannot become another argument."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict):
        return [f"--{name}={json.dumps(value)}"]
    if not isinstance(value, list):
        return [f"--{name}={value}"]
    if any(isinstance(item, str) and item.startswith("-") for item in value):
        raise InputError(
            f"engine.args.{name}: an element begins with '-' and would be an argument of its own",
            path=f"engine.args.{name}",
        )
    return [f"--{name}", *(str(item) for item in value)]


def prepare(run: EngineRun, place: Place | None = None) -> None:
    """Set the environment and start the fork server; returns at once.

    Call it first: the imports that follow, here and there, then run side by side.
    """
    os.environ.update(environment(run, place))
    warm.start(PRELOAD)


def figures() -> dict[str, float]:
    """What the engine of this process counts: `queued` requests, and `kv_use`, the share of its KV
    cache that is in use (0 to 1). Empty when it counts nothing."""
    from prometheus_client import REGISTRY

    found: dict[str, float] = {}
    for metric in REGISTRY.restricted_registry(FIGURES).collect():
        values = [sample.value for sample in metric.samples]
        if values:
            found[FIGURES[metric.name]] = max(values)
    return found


def totals() -> dict[str, int]:
    """What the engine of this process has done: requests it `finished`, those that were given up
    not among them, and tokens it `generated`. Empty when it counts nothing."""
    from prometheus_client import REGISTRY

    found: Counter[str] = Counter()
    for metric in REGISTRY.restricted_registry(TOTALS).collect():
        for sample in metric.samples:
            if sample.name in TOTALS and sample.labels.get("finished_reason") != "abort":
                found[TOTALS[sample.name]] += int(sample.value)
    return dict(found)


def exits(client: Any) -> tuple[int, ...]:
    """Exit codes of the engine's processes that have ended; a signal is a negative number."""
    manager = client.engine_core.resources.engine_manager
    return tuple(manager.finished_procs().values()) if manager is not None else ()


def inside(app: Any) -> dict[str, Any]:
    """What an engine's app could be reached by: its `routes` as `[method, path]`, and what was set
    of the variables and arguments that would open it."""
    return {
        "routes": [pair for route in app.routes for pair in _pairs(route)],
        "environment": {name: os.environ[name] for name in OPENING if name in os.environ},
        "arguments": {name: getattr(app.state.args, name, None) for name in TRUSTING},
    }


def _pairs(route: Any) -> list[list[str]]:
    """A route's methods and path; what is mounted has no methods of its own."""
    methods = set(getattr(route, "methods", None) or {"GET"})
    if "GET" in methods:
        methods.discard("HEAD")  # they go together
    return [[method, route.path] for method in sorted(methods)]


async def token(client: Any) -> None:
    """Have the engine make one token; returns when it has, or has said that it does not.

    Tokens go in and come out: the engine alone is at work, and nothing of this process.
    """
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    asked = SamplingParams(max_tokens=1, detokenize=False)
    name = f"pulse-{time.time_ns()}"
    async for _ in client.generate(TokensPrompt(prompt_token_ids=[1]), asked, name):
        pass


def adapter(name: str, number: int, folder: Path) -> Any:
    """An adapter as the engine is told of it."""
    from vllm.lora.request import LoRARequest

    return LoRARequest(name, number, str(folder))


@contextlib.asynccontextmanager
async def start(
    run: EngineRun, directory: Path, place: Place | None = None
) -> AsyncIterator[tuple[Any, Any]]:
    """Start the engine, of a pipeline the first stage; yields `(engine client, ASGI app)`; stops it
    at the end.

    Raises:
        Exception: Whatever vLLM raises when it cannot start; `causes` finds the reason.
    """
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
    from vllm.entrypoints.launchers.app import build_app

    args = _parsed(command(run, directory, place))
    try:
        async with build_async_engine_client(args) as client:
            tasks = await client.get_supported_tasks()
            app = build_app(args, tasks, client.model_config)
            await init_app_state(client, app.state, args, tasks)
            async with app.router.lifespan_context(app):
                yield client, app
    finally:
        await asyncio.to_thread(warm.stop, STOP_WITHIN)


def follow(run: EngineRun, directory: Path, place: Place) -> None:
    """Be a later stage of a pipeline, until a worker of it ends; this process starts nothing else.

    Raises:
        Exception: Whatever vLLM raises when it cannot start.
    """
    from vllm.entrypoints.cli.serve import run_headless

    args = _parsed(command(run, directory, place))
    args.api_server_count = 0
    run_headless(args)


def _parsed(arguments: list[str]) -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    args = make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)
    validate_parsed_serve_args(args)
    return args
