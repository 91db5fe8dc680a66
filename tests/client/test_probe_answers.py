"""Each file in tests/cases/probe: an answer to the probe, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.client.probe import TOKENS, Answer, find_problem

FILES = sorted((Path(__file__).parents[1] / "cases" / "probe").glob("*.yaml"))
RELEASE, PROMPT = 3, 11
"""What every case was asked of, and the tokens of its prompt."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_wrong_with_an_answer_is_told(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    found = find_problem(Answer(**case["answer"]), RELEASE, PROMPT)
    if case["problem"] is None:  # the answer is repeated; its length is bounded
        assert found.startswith("the answer is not a completion"), case["what"]
    else:
        assert found == case["problem"], case["what"]


def test_there_are_cases_and_one_of_them_is_right() -> None:
    assert len(FILES) >= 20
    right = [path.stem for path in FILES if yaml.safe_load(path.read_text())["problem"] == ""]
    assert right == ["faithful"]


def test_fewer_tokens_can_be_asked_for() -> None:
    body = yaml.safe_load((FILES[0].parent / "faithful.yaml").read_text())["answer"]["body"]
    answer = Answer(200, {"x-llmops-release": "3"}, body)
    assert find_problem(answer, RELEASE, PROMPT, TOKENS) == ""
    assert find_problem(answer, RELEASE, PROMPT, TOKENS - 1) == "it generated 6 tokens, not 5"


def test_under_a_model_name_the_answer_must_be_that_models() -> None:
    body = json.loads(
        yaml.safe_load((FILES[0].parent / "faithful.yaml").read_text())["answer"]["body"]
    )
    for model in ("formal", "brief", None):
        answer = Answer(200, {"x-llmops-release": "3"}, json.dumps(body | {"model": model}))
        found = find_problem(answer, RELEASE, PROMPT, TOKENS, "formal")
        assert found == ("" if model == "formal" else f"the answer came from the model {model}")


@settings(deadline=None)
@given(st.integers(100, 599), st.text(max_size=200))
def test_no_text_is_taken_for_a_generation(status: int, body: str) -> None:
    found = find_problem(Answer(status, {"x-llmops-release": "3"}, body), RELEASE, PROMPT)
    assert found
    assert len(found) < 400
