"""Evaluation sets are read strictly, and every mistake is named by its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops.errors import SpecError
from llmops.evaluating import ItemSet, read_items


def read(*items: Any) -> ItemSet:
    return read_items((json.dumps(item) for item in items), "exam.jsonl", "exam")


def test_prompts_chats_and_labels_are_read() -> None:
    found = read(
        {"prompt": "1 + 1 =", "reference": "2"},
        {"messages": [{"role": "user", "content": "Hi"}], "references": ["Hello", "Hey"]},
        {"id": "x", "prompt": "Good film. It is", "label": "positive", "meta": {"by": "me"}},
    )
    assert [item.id for item in found.items] == ["1", "2", "x"]
    assert found.items[1].references == ("Hello", "Hey")
    assert found.labels == ("positive",)


def test_a_chat_for_training_is_an_evaluation_set() -> None:
    turns = [("system", "Be brief"), ("user", "Hi"), ("assistant", "Hello")]
    [item] = read({"messages": [{"role": r, "content": c} for r, c in turns]}).items
    assert [turn.role for turn in item.messages] == ["system", "user"]
    assert item.references == ("Hello",)


def test_the_digest_is_of_what_is_said_and_not_of_how() -> None:
    one = read_items(['{"prompt": "a", "reference": "b"}'], "x", "x")
    same = read_items(["", '{"references":["b"],  "prompt":"a", "id": "1"}'], "y", "y")
    other = read_items(['{"prompt": "a", "reference": "c"}'], "x", "x")
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("line", "path", "said"),
    [
        ("{", "", "expected a JSON object"),
        ("[1]", "", "expected a JSON object, found a list"),
        ('{"prompt": "a", "refrence": "b"}', "refrence", "unknown key"),
        ('{"reference": "b"}', "", "either prompt or messages"),
        ('{"prompt": "a"}', "", "expected a reference"),
        ('{"prompt": " ", "reference": "b"}', "prompt", "expected text, found an empty text"),
        ('{"prompt": "a", "reference": 4}', "reference", "expected text, found a number"),
        ('{"prompt": "a", "reference": "\\ud800"}', "reference", "half of a surrogate pair"),
        ('{"prompt": "a", "references": []}', "references", "expected a list of texts"),
        ('{"messages": [], "reference": "b"}', "messages", "expected a list of messages"),
        (
            '{"messages": [{"role": "tool", "content": "x"}], "reference": "b"}',
            "messages[0].role",
            "found 'tool'",
        ),
        (
            '{"messages": [{"role": "assistant", "content": "x"}]}',
            "messages",
            "must be the user's",
        ),
    ],
)
def test_a_mistake_is_named_by_its_line(line: str, path: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_items(['{"prompt": "a", "reference": "b"}', line], "exam.jsonl", "exam")
    [problem] = caught.value.problems
    assert (problem.file, problem.line, problem.path) == ("exam.jsonl", 2, path)
    assert said in problem.message


def test_two_items_cannot_have_one_id() -> None:
    item = {"id": "x", "prompt": "a", "reference": "b"}
    with pytest.raises(SpecError, match="taken by line 1"):
        read(item, item)


def test_an_empty_file_is_no_set() -> None:
    with pytest.raises(SpecError, match="holds no item"):
        read_items(["", " "], "exam.jsonl", "exam")
