"""What a chat's messages may hold: text. No media, nothing to fetch, nothing to unpickle. Pure.

A list of what is allowed, not of what is not: engines learn new kinds of content with each version.
"""

from __future__ import annotations

import json
from typing import Any

from serving.gateway.answers import SHOWN, bad

MESSAGE_FIELDS = frozenset(
    "role content name tool_calls tool_call_id reasoning reasoning_content refusal function_call"
    " annotations".split()
)
"""Of a request's messages, and of answers that clients send back as they came."""
PART_FIELDS = frozenset("type text refusal thinking".split())
TEXT_PARTS = frozenset("text refusal thinking input_text output_text".split())
MAX_DEPTH = 32
"""Objects and lists within one another, in a request and in a tool call's arguments."""


def check_fields(messages: list[Any]) -> None:
    """Refuse messages that are none, or that have other fields.

    Raises:
        Refusal: Naming the message.
    """
    if not messages:
        raise bad("'messages' must hold at least one message", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise bad(f"message {index} must be an object with a 'role'", "messages")
        unknown = {k for k, v in message.items() if k not in MESSAGE_FIELDS and v is not None}
        if unknown:
            raise bad(f"message {index}: '{min(unknown)[:SHOWN]}' is not accepted", "messages")
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise bad(f"message {index}: 'tool_calls' must be a list", "messages")
        for call in calls:
            _check_arguments(index, call)


def _check_arguments(index: int, call: object) -> None:
    """A tool call's arguments are JSON inside text: the engine parses them, so we look first."""
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(arguments, str):
        return
    try:
        deep = too_deep(json.loads(arguments))
    except RecursionError:
        deep = True
    except ValueError:
        deep = False  # a model's own slip, sent back with the conversation: the engine drops it
    if deep:
        raise bad(f"message {index}: arguments nested deeper than {MAX_DEPTH}", "messages")


def check_text(messages: object) -> None:
    """Refuse content that is not text.

    Raises:
        Refusal: Naming the message.
    """
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list) or not all(_is_text(part) for part in content):
            raise bad(
                f"message {index}: only text can be sent to this model; media are neither taken"
                " nor fetched",
                "messages",
            )


def _is_text(part: object) -> bool:
    if isinstance(part, str):
        return True
    if not isinstance(part, dict):
        return False
    given = {key: value for key, value in part.items() if value is not None}
    return (
        given.keys() <= PART_FIELDS
        and all(isinstance(value, str) for value in given.values())
        and given.get("type") in TEXT_PARTS
    )


def too_deep(value: object) -> bool:
    """Whether objects and lists lie deeper within one another than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in children(item)]
        if not level:
            return False
    return True


def children(value: object) -> list[Any]:
    """The objects and lists right inside a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in inside if isinstance(child, (dict, list))]
