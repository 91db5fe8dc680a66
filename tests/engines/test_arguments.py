"""`engine.args` against the engine that is really installed, by its source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError
from serving.engines import arguments, check_arguments, known_arguments
from tests.effort import effort

HARMLESS = sorted(arguments.OF_THE_SERVER)
NOT_TO_BE_SET = ("host", "port", "api_key", "ssl_keyfile", "middleware", "root_path", "uds",
                 "allowed_origins", "lora_modules", "tool_parser_plugin", "tool_server",
                 "trust_request_chat_template", "enable_log_outputs")  # fmt: skip


def refused(args: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        check_arguments(args)
    return caught.value


def test_the_installed_engines_arguments_are_known() -> None:
    known = known_arguments()
    assert len(known) > 200
    assert {"max_num_seqs", "enable_prefix_caching", "seed", "block_size", "enable_lora",
            "reasoning_parser", "enable_log_requests"} <= known  # fmt: skip


def test_of_the_servers_arguments_the_harmless_ones_are_known_and_no_others() -> None:
    known = known_arguments()
    assert set(HARMLESS) <= known
    assert [name for name in NOT_TO_BE_SET if name in known] == []


def test_nothing_of_the_engine_is_imported_and_it_takes_milliseconds() -> None:
    program = (
        "import sys, time; from serving.engines import check_arguments;"
        "began = time.process_time();"
        "check_arguments({'seed': 1}); print(time.process_time() - began);"
        "print([name for name in ('vllm', 'torch', 'transformers', 'ray') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert float(seconds) < 0.5


def test_a_second_look_costs_nothing() -> None:
    known_arguments()
    with effort() as spent:
        check_arguments({"seed": 1})
    assert spent.seconds < 0.02


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"seed": 7},
        {"max-num-seqs": 8},
        {"enable_prefix_caching": False},
        {"max_num_batched_tokens": 2048},
        {"max_num_batched_tokens": "8k"},
        {"cpu_offload_gb": 1},
        {"compilation_config": {"mode": 0}},
        {"enable_lora": True, "max_lora_rank": 16, "lora_target_modules": ["q_proj", "v_proj"]},
        {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"},
        {"chat_template_content_format": "string"},
        {"default_chat_template_kwargs": {"enable_thinking": False}},
        {"fingerprint_mode": "none"},
        {"scheduling_policy": "priority"},
        {"override_generation_config": {"temperature": 0.2}},
    ],
    ids=str,
)
def test_arguments_of_the_engine_may_be_set(args: dict[str, Any]) -> None:
    check_arguments(args)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("max_num_seq", "max_num_seqs"),
        ("enable_prefix_cache", "enable_prefix_caching"),
        ("max-batched-tokens", "max_num_batched_tokens"),
        ("tool_parser", "tool_call_parser"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    error = refused({"seed": 1, name: 3})
    assert error.path == f"engine.args.{name}"
    assert name in error.message
    assert near in error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize("name", ["model_weights", "mamba_config"])
def test_a_field_for_which_the_engine_has_no_option_is_unknown(name: str) -> None:
    assert "knows no argument" in refused({name: "x"}).message


@pytest.mark.parametrize("name", ["zzz", "", "_api_process_count", "__init__", "seed=1"])
def test_what_is_no_argument_at_all_is_refused(name: str) -> None:
    assert refused({name: 1}).hint


@pytest.mark.parametrize("name", NOT_TO_BE_SET)
def test_an_argument_of_the_engines_own_server_is_refused_as_such(name: str) -> None:
    error = refused({name: "x"})
    assert "its own server" in error.message
    assert "tool_call_parser" in error.hint


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"max_num_seqs": "8"}, "expected a whole number, found '8'"),
        ({"max_num_seqs": 8.5}, "expected a whole number, found 8.5"),
        ({"max_num_seqs": True}, "expected a whole number, found True"),
        ({"max_num_seqs": "8k"}, "expected a whole number"),
        ({"enable_prefix_caching": "yes"}, "expected true or false, found 'yes'"),
        ({"enable_prefix_caching": 1}, "expected true or false, found 1"),
        ({"watermark": "0.1"}, "expected a number, found '0.1'"),
        ({"tool_call_parser": ["hermes"]}, "expected a text, found ['hermes']"),
        ({"tool_call_parser": False}, "expected a text, found False"),
        ({"fingerprint_mode": "some"}, "expected one of full, hash, custom, none, found 'some'"),
        ({"override_generation_config": "x"}, "expected a mapping, found 'x'"),
        ({"tool_call_parser": list(range(100))}, "…"),
    ],
)
def test_a_value_of_the_wrong_simple_type_is_refused(args: dict[str, Any], says: str) -> None:
    error = refused(args)
    assert says in error.message
    assert error.path == f"engine.args.{next(iter(args))}"
    assert len(error.message) < 160


def test_a_number_in_quotes_is_told_to_lose_them() -> None:
    assert refused({"max_num_seqs": "8"}).hint == "write it without quotes"


def test_without_an_engine_it_is_said_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_arguments({})
    error = refused({"seed": 1})
    assert "no engine is installed" in error.message
    assert "llmops[local]" in error.hint


def test_an_engine_that_declares_its_arguments_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/arg_utils.py").write_text("class Other:\n    seed: int = 0\n")
    with pytest.raises(InputError, match="where they are looked for"):
        arguments._declared(tmp_path)
