"""`engine.args` can neither override what llmops decides nor smuggle an argument past it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.spec import arguments
from serving.engines import vllm
from serving.engines.settings import EngineRun


def _run(device: str) -> EngineRun:
    return EngineRun(
        service="chat",
        release=1,
        engine="vllm",
        source="hf://owner/name",
        revision="main",
        dtype="bfloat16",
        context=512,
        device=device,
        tensor=2,
        threads=1,
        kv_cache_bytes=2**30,
        args={},
    )


def _refused(name: str) -> bool:
    return any(wrong.key for wrong in arguments.check({name: 1}))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_whatever_llmops_tells_the_engine_is_refused_as_an_argument(device: str) -> None:
    told = [word for word in vllm.command(_run(device), Path("/m")) if word.startswith("--")]
    assert len(told) > 5
    for option in told:
        name = option.removeprefix("--")
        # A user may ask for eager mode on a GPU; on a CPU it is so anyway.
        if name != "enforce-eager":
            assert _refused(name), f"{option} is set by llmops and may be set by the user"
            assert _refused(name.replace("-", "_"))


@pytest.mark.parametrize(
    "name",
    ["trust_remote_code", "middleware", "api_key", "port", "config", "load_format", "hf_overrides"],
)
def test_no_beginning_of_a_refused_name_is_taken(name: str) -> None:
    for length in range(1, len(name) + 1):
        if not name[:length].endswith("_"):
            assert _refused(name[:length]), f"the engine would take --{name[:length]} for --{name}"


@pytest.mark.parametrize(
    "name",
    [
        "max_num_seqs", "max_num_batched_tokens", "enable_prefix_caching", "seed", "kv_cache_dtype",
        "quantization", "tool_call_parser", "enable_auto_tool_choice", "reasoning_parser",
        "enforce_eager", "scheduling_policy", "enable_chunked_prefill", "fully_sharded_loras",
    ],
)  # fmt: skip
def test_what_tunes_the_engine_may_be_set(name: str) -> None:
    assert list(arguments.check({name: 1})) == []


@pytest.mark.parametrize(
    "value", ["--port=1", "-O3", "--", "-", ["1", "--port"], {"a": "--port"}, [["x"]], None, {}, []]
)
def test_a_value_that_the_engine_would_misread_is_refused(value: object) -> None:
    assert [wrong.trail[0] for wrong in arguments.check({"seed": value})] == ["seed"]


def test_a_refused_name_is_refused_inside_a_mapping_too() -> None:
    inner = {"method": "eagle", "draft": {"trust-remote-code": True}}
    found = list(arguments.check({"speculative_config": inner}))
    assert [wrong.trail for wrong in found] == [
        ("speculative_config", "draft", "trust-remote-code")
    ]


def test_no_message_repeats_a_value() -> None:
    values: list[object] = [
        "--hunter2",
        ["--hunter2"],
        {"model": "hunter2"},
        {"a": {}, "b": "hunter2"},
    ]
    for name in ("api_key", "seed", "no_seed", "chat_template", "generation_config", "X"):
        for value in values:
            for wrong in arguments.check({name: value}):
                assert "hunter2" not in wrong.message + wrong.hint
