"""What vLLM is told, by value; the plan's word is the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, Gauge

from llmops.errors import InputError
from llmops.planning import make_plan
from llmops.releases import Release, State
from serving.engines import EngineRun, Place
from serving.engines.vllm import command, environment, figures
from tests.planning.worlds import GPU, deployment, make_facts

CPU_RUN = EngineRun(
    service="chat",
    release=3,
    engine="vllm",
    source="hf://owner/name",
    revision="0" * 40,
    dtype="bfloat16",
    context=512,
    device="cpu",
    tensor=1,
    threads=3,
    kv_cache_bytes=2**30,
    args={},
)
GPU_RUN = replace(CPU_RUN, device="gpu", tensor=4, kv_cache_bytes=4 * 2**30)
MODEL = Path("/models/chat")
PLANNED = [
    "--model", "/models/chat", "--served-model-name", "chat", "--dtype", "bfloat16",
    "--max-model-len", "512", "--tensor-parallel-size", "1", "--disable-uvicorn-access-log",
    "--disable-log-stats",
]  # fmt: skip


def told(**args: Any) -> list[str]:
    """What the user's own arguments become."""
    arguments = command(replace(CPU_RUN, args=args), MODEL)
    return arguments[: arguments.index("--model")]


def test_a_cpu_run_is_told_so() -> None:
    assert command(CPU_RUN, MODEL) == [*PLANNED, "--enforce-eager"]


def test_an_engine_counts_where_replicas_follow_the_load() -> None:
    assert "--disable-log-stats" not in command(replace(CPU_RUN, stats=True), MODEL)
    assert replace(CPU_RUN, stats=True).document()["stats"] is True
    assert "stats" not in CPU_RUN.document(), "what counts nothing is told what it always was"


def test_what_an_engine_counts_is_read_from_its_metrics() -> None:
    made = [
        Gauge("vllm:num_requests_waiting", "Waiting", ["engine"]),
        Gauge("vllm:kv_cache_usage_perc", "Use", ["engine"]),
    ]
    try:
        assert figures() == {}
        for gauge, value in zip(made, (7, 0.25), strict=True):
            gauge.labels("0").set(value)
        assert figures() == {"queued": 7, "kv_use": 0.25}
    finally:
        for gauge in made:
            REGISTRY.unregister(gauge)


def test_shards_on_a_cpu_are_processes_of_this_machine() -> None:
    arguments = command(replace(CPU_RUN, tensor=2), MODEL)
    assert arguments[-2:] == ["--distributed-executor-backend", "mp"]
    assert arguments[arguments.index("--tensor-parallel-size") + 1] == "2"


def test_a_gpu_is_told_the_bytes_of_its_shards_cache() -> None:
    arguments = command(GPU_RUN, MODEL)
    assert arguments[-2:] == ["--kv-cache-memory-bytes", str(2**30)]
    assert "--enforce-eager" not in arguments


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        ({"seed": 7}, ["--seed=7"]),
        ({"watermark": 0.5}, ["--watermark=0.5"]),
        ({"enable_prefix_caching": True}, ["--enable-prefix-caching"]),
        ({"enable_prefix_caching": False}, ["--no-enable-prefix-caching"]),
        ({"compilation_config": {"mode": 0}}, ['--compilation-config={"mode": 0}']),
        ({"lora_target_modules": ["q", "v"]}, ["--lora-target-modules", "q", "v"]),
        ({"stop_ids": [-1, 2]}, ["--stop-ids", "-1", "2"]),
        ({"b": 1, "a": 2}, ["--a=2", "--b=1"]),
    ],
    ids=str,
)
def test_arguments_become_options(args: dict[str, Any], arguments: list[str]) -> None:
    assert told(**args) == arguments


def test_no_value_becomes_an_argument_of_its_own() -> None:
    assert told(tool_call_parser="--trust-remote-code") == [
        "--tool-call-parser=--trust-remote-code"
    ]
    assert told(tool_call_parser="x --middleware y") == ["--tool-call-parser=x --middleware y"]
    with pytest.raises(InputError, match="begins with '-'"):
        told(lora_target_modules=["q", "--trust-remote-code"])


def test_the_users_arguments_come_before_the_plans() -> None:
    """vLLM's parser takes the last of several, so nothing that the plan decides is overridden."""
    args = {"model": "/evil", "max_model_len": 10**6, "enforce_eager": False, "seed": 1}
    arguments = command(replace(CPU_RUN, args=args), MODEL)
    assert arguments[-len(PLANNED) - 1 :] == [*PLANNED, "--enforce-eager"]
    assert arguments.index("--model=/evil") < arguments.index("--model")


@pytest.mark.parametrize(
    ("kv_cache", "tensor", "space"),
    [(2**30, 1, "1"), (3 * 2**30, 3, "1"), (4 * 2**30, 2, "2"), (2**30 + 1, 1, "2"), (1, 1, "1")],
)
def test_the_cpu_engine_is_told_each_shards_whole_gib(
    kv_cache: int, tensor: int, space: str
) -> None:
    run = replace(CPU_RUN, kv_cache_bytes=kv_cache, tensor=tensor)
    assert environment(run)["VLLM_CPU_KVCACHE_SPACE"] == space


def test_the_environment_opens_nothing_and_phones_nowhere() -> None:
    for run in (CPU_RUN, GPU_RUN):
        settings = environment(run)
        assert settings["VLLM_SERVER_DEV_MODE"] == "0"
        assert settings["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "0"
        assert settings["VLLM_NO_USAGE_STATS"] == settings["HF_HUB_OFFLINE"] == "1"
        assert settings["VLLM_HOST_IP"] == settings["VLLM_LOOPBACK_IP"] == "127.0.0.1"


def test_only_a_cpu_run_is_told_of_threads() -> None:
    assert environment(CPU_RUN)["OMP_NUM_THREADS"] == "3"
    assert "OMP_NUM_THREADS" not in environment(GPU_RUN)


def recorded(**sections: Any) -> Release:
    gpus = {"cores": 8, "memory": "64GiB", "gpus": [{"memory": "80GiB"}]}
    spec = deployment(**sections)
    on_gpu = sections.get("hardware") == {"device": "gpu"}
    facts = make_facts(machine=gpus, engine=GPU) if on_gpu else make_facts()
    return Release("chat", 3, make_plan(spec, facts), State.STAGING, 0.0)


def test_a_run_is_what_the_recorded_plan_says() -> None:
    run = EngineRun.of(recorded(engine={"args": {"seed": 1}, "kv_cache": "2GiB"}))
    assert (run.service, run.release, run.context, run.device) == ("chat", 3, 8192, "cpu")
    assert (run.kv_cache_bytes, run.threads, run.args) == (2 * 2**30, 3, {"seed": 1})
    assert EngineRun.of(recorded(hardware={"device": "gpu"})).device == "gpu"


@pytest.mark.parametrize("run", [CPU_RUN, GPU_RUN, replace(CPU_RUN, args={"a": {"b": [1]}})])
def test_settings_travel_as_plain_data(run: EngineRun) -> None:
    import json

    assert EngineRun(**json.loads(json.dumps(run.document()))) == run


FIRST = Place(rank=0, address="10.0.0.3", interface="eth1", meeting="10.0.0.3", port=10123)
SECOND = replace(FIRST, rank=1, address="10.0.0.4")


def test_stages_meet_at_the_first_and_only_it_answers() -> None:
    meet = [
        "--distributed-executor-backend", "mp", "--pipeline-parallel-size", "2", "--nnodes", "2",
        "--node-rank", "0", "--master-addr", "10.0.0.3", "--master-port", "10123",
    ]  # fmt: skip
    run = replace(GPU_RUN, pipeline=2)
    assert command(run, MODEL, FIRST)[-len(meet) :] == meet
    second = command(run, MODEL, SECOND)
    assert second[second.index("--node-rank") + 1] == "1"
    assert second[-1] == "--headless"
    assert "--headless" not in command(run, MODEL, FIRST)


def test_stages_talk_over_the_network_of_their_ray() -> None:
    told = environment(replace(CPU_RUN, pipeline=2, kv_cache_bytes=2 * 2**30), SECOND)
    assert told["VLLM_HOST_IP"] == "10.0.0.4"
    assert (told["GLOO_SOCKET_IFNAME"], told["NCCL_SOCKET_IFNAME"]) == ("eth1", "=eth1")
    assert told["VLLM_CPU_KVCACHE_SPACE"] == "1", "the cache is of all stages"


def test_the_cpu_engine_of_a_stage_is_warmed_up_so_that_it_has_its_buffers() -> None:
    arguments = command(replace(CPU_RUN, pipeline=2), MODEL, FIRST)
    assert "--enforce-eager" not in arguments
    assert '--compilation-config={"mode": 1, "cudagraph_mode": "NONE"}' in arguments
