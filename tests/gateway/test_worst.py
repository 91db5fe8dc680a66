"""The most that a request can take is never less than what an engine counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.worst import COMPLETION, TEMPLATE, leave_room, most
from tests.gateway.fakes import CHAT, COMPLETIONS

CONTEXT = 1000


def of(route: str, body: dict[str, Any]) -> tuple[int, int]:
    size = len(json.dumps(body, ensure_ascii=False).encode())
    tokens = most(route, body, size, CONTEXT)
    return tokens.read, tokens.generated


@pytest.mark.parametrize(
    ("route", "body", "generated"),
    [
        (COMPLETIONS, {"prompt": "a"}, COMPLETION),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 7}, 7),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 7, "n": 3}, 21),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 7, "n": 1, "best_of": 4}, 28),
        (COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 7, "n": 2}, 28),
        (COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 7}, 7),
        (COMPLETIONS, {"prompt": [[1], [2, 3]], "max_tokens": 7}, 14),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 9999}, CONTEXT),
        (CHAT, {"messages": []}, CONTEXT),
        (CHAT, {"messages": [], "max_tokens": 7}, 7),
        (CHAT, {"messages": [], "max_tokens": 7, "max_completion_tokens": 9}, 9),
        (CHAT, {"messages": [], "max_tokens": 0}, 0),
    ],
)
def test_what_may_be_generated(route: str, body: dict[str, Any], generated: int) -> None:
    assert of(route, body)[1] == generated


@given(st.text(max_size=200))
def test_each_byte_may_be_a_token(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert of(COMPLETIONS, {"prompt": text})[0] >= len(text.encode())


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50))
def test_token_ids_are_tokens(ids: list[int]) -> None:
    assert of(COMPLETIONS, {"prompt": ids})[0] >= len(ids)


def test_a_chat_has_room_for_its_template_and_no_more_than_the_context() -> None:
    assert of(CHAT, {"messages": [{"role": "user", "content": "hi"}]})[0] > TEMPLATE
    assert of(CHAT, {"messages": [{"role": "user", "content": "hi" * 2000}]})[0] == CONTEXT
    assert of(COMPLETIONS, {"prompt": ["a" * 1500, "b" * 1500]})[0] == 2 * CONTEXT


@pytest.mark.parametrize(
    ("document", "checked", "room", "left"),
    [
        ({"messages": []}, {"messages": []}, 70, 70),
        ({"messages": []}, {"messages": [], "max_tokens": 100}, 70, 70),
        ({"messages": []}, {"messages": [], "max_tokens": 50}, 70, 50),
        ({"messages": []}, {"messages": [], "max_tokens": 50}, 0, 50),
        ({"messages": [], "max_tokens": 100}, {"messages": [], "max_tokens": 100}, 70, 100),
        ({"messages": [], "max_completion_tokens": 100},
         {"messages": [], "max_completion_tokens": 100}, 70, None),
        ({"prompt": "a"}, {"prompt": "a"}, 5, None),
    ],
)  # fmt: skip
def test_a_number_that_the_client_named_is_left_as_it_is(
    document: dict[str, Any], checked: dict[str, Any], room: int, left: int | None
) -> None:
    before = dict(checked)
    assert leave_room(document, checked, room) == (checked != before)
    assert checked.get("max_tokens") == left
