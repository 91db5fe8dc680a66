"""Records become rows: what each format takes, and what it says of what it does not take."""

from __future__ import annotations

import pytest

from llmops.finetuning import Rows
from serving.finetune.data.reading import Record
from serving.finetune.data.rows import Bad, Row
from serving.finetune.data.shaping import shape

SECRET = "canary-7f3a"


def entry(form: str, **more: object) -> Rows:
    return Rows.model_validate({"source": "file:///rows.jsonl", "format": form} | more)


def said(value: dict[str, object], rows: Rows) -> list[tuple[str, str, str]]:
    """Parts of a good row."""
    found = shape(Record("rows.jsonl:1", value), rows)
    assert isinstance(found, Row), found
    return [(part.role, part.text, part.answer) for part in found.parts]


def wrong(value: dict[str, object], rows: Rows) -> str:
    """Why a row is bad."""
    found = shape(Record("rows.jsonl:1", value), rows)
    assert isinstance(found, Bad), found
    return found.reason


def turn(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": text}


def test_messages_are_taken_in_both_of_their_forms() -> None:
    asked = [("user", "q", ""), ("assistant", "a", "")]
    assert said({"messages": [turn("user", "q"), turn("assistant", "a")]}, entry("chat")) == asked
    others = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "name": None}]
    own = entry("chat", columns={"messages": "conversations"})
    assert said({"conversations": others}, own) == asked


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "column 'messages': expected a list of messages, found nothing"),
        ({"messages": []}, "found an empty list"),
        ({"messages": [SECRET]}, "messages[0]: expected {role, content}, found a text"),
        ({"messages": [turn("robot", SECRET)]}, "its role is none of system, user, assistant"),
        ({"messages": [turn("user", " ")]}, "expected a text as content, found an empty text"),
        ({"messages": [turn("user", SECRET)]}, "does not end with an answer"),
        (
            {"messages": [turn("user", SECRET) | {"tool_calls": [1]}]},
            "'tool_calls' is not known",
        ),
        ({"messages": [turn("user", SECRET) | {"\ud83d": 1}]}, r"'\ud83d' is not known"),
    ],
)
def test_a_bad_conversation_is_told_without_what_it_says(
    value: dict[str, object], reason: str
) -> None:
    found = wrong(value, entry("chat"))
    assert reason in found
    assert SECRET not in found


def test_instructions_take_columns_and_templates() -> None:
    value: dict[str, object] = {"q": "2+2?", "context": 7, "a": "4", "who": "a sum"}
    own = entry("instruction", columns={"prompt": "q", "completion": "a", "system": "who"})
    assert said(value, own) == [
        ("system", "a sum", ""), ("user", "2+2?", ""), ("assistant", "4", ""),
    ]  # fmt: skip
    filled = entry("instruction", columns={"completion": "a"}, template="{q} {{of}} {context}")
    assert said(value, filled) == [("user", "2+2? {of} 7", ""), ("assistant", "4", "")]
    assert wrong({"q": "2+2?"}, own) == "column 'who': expected a text, found nothing"
    assert "column 'context'" in wrong({"q": "x", "a": "y"}, filled)


def test_a_text_is_a_column_or_a_template() -> None:
    assert said({"text": "all"}, entry("text")) == [("text", "all", "")]
    assert said({"a": "1", "b": "2"}, entry("text", template="{a}-{b}")) == [("text", "1-2", "")]
    sly = entry("text", template="{a}-{b}").model_copy(update={"template": "{a.__class__}"})
    assert wrong({"a": "1"}, sly) == "column 'a.__class__': expected a text, found nothing"
    assert wrong({"text": None}, entry("text")) == "column 'text': expected a text, found nothing"


def test_preferences_take_texts_conversations_and_what_these_share() -> None:
    pair = [("user", "q", ""), ("assistant", "yes", "chosen"), ("assistant", "no", "rejected")]
    texts: dict[str, object] = {"prompt": "q", "chosen": "yes", "rejected": "no"}
    assert said(texts, entry("preference")) == pair
    asked, yes, no = turn("user", "q"), turn("assistant", "yes"), turn("assistant", "no")
    whole: dict[str, object] = {"chosen": [asked, yes], "rejected": [asked, no]}
    assert said(whole, entry("preference")) == pair
    apart: dict[str, object] = {"prompt": [asked], "chosen": [yes], "rejected": [no]}
    assert said(apart, entry("preference")) == pair
    assert said(whole | {"prompt": "q"}, entry("preference")) == pair
    assert "are the same" in wrong(texts | {"rejected": "yes"}, entry("preference"))
    assert "not an answer" in wrong({"chosen": [yes], "rejected": [no]}, entry("preference"))


def test_half_a_character_is_bad() -> None:
    assert "not UTF-8, or half of a character" in wrong({"text": "a\ud83db"}, entry("text"))
