"""Each file in tests/cases/causes: the end of an engine's log, and what its user is told."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.errors import ModelError
from serving.engines.causes import Cause, find_cause
from tests.effort import effort

FILES = sorted((Path(__file__).parents[1] / "cases" / "causes").glob("*.yaml"))


def error_of(name: str, message: str) -> BaseException:
    kind = getattr(builtins, name, None) or type(name, (Exception,), {})
    made: BaseException = kind(message)
    return made


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_cause_is_found_in_the_log(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    error = error_of(*case["error"]) if "error" in case else None
    assert find_cause(case["log"], error) == Cause(case["cause"], case["hint"]), case["what"]


def test_there_are_cases() -> None:
    assert len(FILES) >= 40


def test_an_error_of_our_own_says_it_all() -> None:
    error = ModelError("model.safetensors is not what its manifest says", hint="fetch it again")
    found = find_cause("OSError: [Errno 28] No space left on device", error)
    assert found == Cause(error.message, error.hint)


def test_the_cause_is_a_sentence_of_bounded_length() -> None:
    found = find_cause(f"ValueError: {'x' * 10_000}\n")
    assert len(found.text) < 400
    assert "\n" not in found.text


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=60))
def test_any_log_has_a_cause(log: str, message: str) -> None:
    assert find_cause(log, RuntimeError(message)).text


def test_a_long_log_is_searched_in_a_moment() -> None:
    line = "(EngineCore pid=1) ERROR 11-25 06:24:31 [core.py:1510]   assert x ^^^^ (((( Error:: \n"
    with effort() as spent:
        find_cause(line * 2500, RuntimeError("x"))
    assert spent.seconds < 2
