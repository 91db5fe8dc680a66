"""A stream of server-sent events on its way to the client, in pieces that are cut anywhere. Pure.

It counts tokens, keeps the usage event from a client that did not ask for it, and knows whether
the stream has come to its own end: what stops without `data: [DONE]` was cut, and is never passed
off as a whole answer. It looks into an event only where a field that matters is named in it, and
until something has been said, since most events are one token. Events end with an empty line
(`\\n\\n`), as vLLM writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from serving.gateway import answers
from serving.gateway.answers import Refusal

END = b"\n\n"
DONE = b"data: [DONE]"
# Inside a JSON string these quotes would be escaped, so what a model writes cannot look like them.
USAGE = b'"usage":'
ERROR = b'"error":'
LENGTH = b'"finish_reason":"length"'


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the engine counted them."""

    prompt: int
    completion: int


class Events:
    """What has come of one stream so far."""

    def __init__(self, *, wants_usage: bool, wants_each: bool = False) -> None:
        """Begin a stream.

        Args:
            wants_usage: Whether the client asked for the usage, told at the end.
            wants_each: Whether it asked for it with each event.
        """
        self._wants_usage = wants_usage
        self._wants_each = wants_each
        self._pending = b""
        self.usage: Usage | None = None
        self.tokens = 0
        """Events that carried tokens: what is known of their number when no usage came."""
        self.said = False
        """Whether anything has been said: text, reasoning, a refusal, a call of a tool."""
        self.truncated = False
        """Whether a choice ended because it was as long as it may be."""
        self.done = False
        """Whether the stream has come to its own end."""
        self.error: Refusal | None = None
        """Why the engine gave up in the middle; nothing is passed on after it."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece; returns the whole events that go on to the client, as they came."""
        whole, end, self._pending = (self._pending + piece).rpartition(END)
        if not end:
            return b""
        passed = []
        for event in whole.split(END):
            if self.done or self.error is not None:
                break
            if (going_on := self._look_at(event)) is not None:
                passed.append(going_on + END)
        return b"".join(passed)

    def _look_at(self, event: bytes) -> bytes | None:
        """What goes on to the client of an event; None of one that is not its business."""
        if event == DONE:
            self.done = True
            return event
        if USAGE in event or ERROR in event:
            document = _parsed(event)
            if document.get("error"):
                self.error = _refusal(document)
                return None
            if (usage := read_usage(document)) is not None:
                self.usage = usage
                if not document.get("choices"):
                    return event if self._wants_usage else None
                if not self._wants_each:
                    event = _without_usage(document)
        if event.startswith(b"data: "):
            self.tokens += 1
            if not self.said:
                self.said = says(_parsed(event))
            if LENGTH in event:
                self.truncated = True
        return event


def _without_usage(document: dict[str, Any]) -> bytes:
    """An event as a client gets it that did not ask for the usage of each."""
    kept = {name: value for name, value in document.items() if name != "usage"}
    return b"data: " + json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def read_usage(document: dict[str, Any]) -> Usage | None:
    """The usage of an answer or an event; None when it has none that can be read."""
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens") or 0
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt, completion)


def says(document: dict[str, Any]) -> bool:
    """Whether any choice of an answer or an event holds something but a role."""
    return any(_says(choice) for choice in _choices(document))


def is_truncated(document: dict[str, Any]) -> bool:
    """Whether any choice of an answer ended because it was as long as it may be."""
    return any(choice.get("finish_reason") == "length" for choice in _choices(document))


def _choices(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = document.get("choices")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _says(choice: dict[str, Any]) -> bool:
    if choice.get("text"):
        return True
    made = choice.get("delta") or choice.get("message")
    return isinstance(made, dict) and any(v for name, v in made.items() if name != "role")


def parsed(document: bytes) -> dict[str, Any]:
    """A JSON object; an empty one when it is none."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _parsed(event: bytes) -> dict[str, Any]:
    return parsed(event.removeprefix(b"data: "))


def _refusal(document: dict[str, Any]) -> Refusal:
    error = document["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return answers.from_engine(code if isinstance(code, int) else 500, document)
