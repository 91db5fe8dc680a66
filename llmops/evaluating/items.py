"""An evaluation set: what is asked, and what a good answer is. JSON Lines, read strictly.

A line is an object: `prompt` (text that the model goes on with) or `messages` (a chat), and
`reference`, `references` or `label`. A chat whose last turn is the assistant's has that turn as its
reference, so a chat file for training is an evaluation set as well. Every mistake is named by its
line; an unknown key is one, since a misspelt `reference` must not become an item without any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.errors import Problem, SpecError

KEYS = ("id", "prompt", "messages", "reference", "references", "label", "meta")
ROLES = ("system", "user", "assistant")
MOST_PROBLEMS = 20
"""Mistakes that are told of one file."""
MOST_CHARACTERS = 1_000_000
"""Of a line: more than any context holds."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a chat."""

    role: str
    content: str

    def document(self) -> dict[str, str]:
        """As OpenAI's API has it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to ask."""

    id: str
    prompt: str
    """Text to go on with; empty for a chat."""
    messages: tuple[Turn, ...] = ()
    """The chat, which ends with the user's turn; empty for a prompt."""
    references: tuple[str, ...] = ()
    """Good answers; the first is the one whose likelihood a perplexity is of."""
    label: str = ""
    """The right class, for accuracy and F1."""
    line: int = 0
    """Where it is in its file, from 1."""
    tokens: tuple[int, ...] = ()
    """Ids of a text that is tokenised already, which has neither prompt nor messages; it can be
    measured by its likelihood, and not asked."""
    learnt: tuple[bool, ...] = ()
    """Which of `tokens` the likelihood is of; as many."""

    def document(self) -> dict[str, Any]:
        """As plain data, in one form whichever way it was written."""
        asked: dict[str, Any] = (
            {"messages": [turn.document() for turn in self.messages]}
            if self.messages
            else {"prompt": self.prompt}
        )
        if self.tokens:
            asked = {"tokens": list(self.tokens), "learnt": list(self.learnt)}
        return {"id": self.id} | asked | {"references": list(self.references), "label": self.label}


@dataclass(frozen=True, slots=True)
class ItemSet:
    """A set of items under a name."""

    name: str
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """sha256 of what the items say, independent of how the file spells it."""
        lines = [json.dumps(item.document(), sort_keys=True) for item in self.items]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that occur, sorted."""
        return tuple(sorted({item.label for item in self.items if item.label}))

    def first(self, limit: int | None) -> ItemSet:
        """The first `limit` items; all where that is None."""
        return ItemSet(self.name, self.items[:limit])


class _Wrong(Exception):
    """What a line's mistake is, and what helps."""

    def __init__(self, message: str, hint: str = "", path: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.path = message, hint, path


def read_items(lines: Iterable[str], file: str, name: str) -> ItemSet:
    """The set that a file of JSON Lines holds; empty lines are passed over.

    Args:
        lines: The file's lines.
        file: Its name, for messages.
        name: The set's name.

    Raises:
        SpecError: Naming every mistake, up to `MOST_PROBLEMS`, or that there is no item.
    """
    items: dict[str, Item] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = _item(line, number)
            if (twin := items.get(item.id)) is not None:
                raise _Wrong(f"the id '{item.id}' is taken by line {twin.line}", path="id")
            items[item.id] = item
        except _Wrong as wrong:
            problems.append(Problem(file, number, 1, wrong.path, wrong.message, wrong.hint))
            if len(problems) == MOST_PROBLEMS:
                break
    if not items and not problems:
        problems.append(Problem(file, 1, 1, "", "the file holds no item"))
    if problems:
        raise SpecError(tuple(problems))
    return ItemSet(name, tuple(items.values()))


def _item(line: str, number: int) -> Item:
    if len(line) > MOST_CHARACTERS:
        raise _Wrong(f"a line may have {MOST_CHARACTERS} characters, found {len(line)}")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"expected a JSON object, found text that is none: {error}") from error
    if not isinstance(found, dict):
        raise _Wrong(f"expected a JSON object, found {_kind(found)}")
    for key in found:
        if key not in KEYS:
            raise _Wrong(
                "unknown key", f"known are {', '.join(KEYS)}; what is your own goes into meta", key
            )
    if ("prompt" in found) == ("messages" in found):
        raise _Wrong("expected either prompt or messages")
    messages, answer = _messages(found)
    references = _references(found, answer)
    label = _text(found, "label") if "label" in found else ""
    if not references and not label:
        raise _Wrong("expected a reference, references, or a label")
    name = _text(found, "id") if "id" in found else str(number)
    prompt = "" if messages else _text(found, "prompt")
    return Item(name, prompt, messages, references, label, number)


def _messages(found: Mapping[str, Any]) -> tuple[tuple[Turn, ...], str]:
    """The chat to send, and the answer that its last turn is; both empty for a prompt."""
    if "messages" not in found:
        return (), ""
    listed = found["messages"]
    if not isinstance(listed, list) or not listed:
        raise _Wrong("expected a list of messages", path="messages")
    turns = []
    for at, message in enumerate(listed):
        path = f"messages[{at}]"
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise _Wrong("expected an object with role and content", path=path)
        if message["role"] not in ROLES:
            raise _Wrong(
                f"expected {', '.join(ROLES)}, found {_kind(message['role'])}", path=f"{path}.role"
            )
        turns.append(Turn(message["role"], _text(message, "content", f"{path}.content")))
    answer = turns.pop().content if turns[-1].role == "assistant" else ""
    if not turns or turns[-1].role != "user":
        raise _Wrong("the last turn before the answer must be the user's", path="messages")
    return tuple(turns), answer


def _references(found: Mapping[str, Any], answer: str) -> tuple[str, ...]:
    given = [name for name in ("reference", "references") if name in found]
    if len(given) + bool(answer) > 1:
        raise _Wrong(
            "expected one of reference, references and an assistant's last turn, found several"
        )
    if answer:
        return (answer,)
    if "reference" in found:
        return (_text(found, "reference"),)
    listed = found.get("references", [])
    if "references" in found and not (isinstance(listed, list) and listed):
        raise _Wrong("expected a list of texts", path="references")
    texts = {f"references[{at}]": text for at, text in enumerate(listed)}
    return tuple(_text(texts, path, path) for path in texts)


def _text(found: Mapping[str, Any], key: str, path: str = "") -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"expected text, found {_kind(value)}", path=path or key)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _Wrong("expected text, found half of a surrogate pair", path=path or key)
    return value


def _kind(value: object) -> str:
    if isinstance(value, str):
        return f"'{value[:40]}'" if value.strip() else "an empty text"
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
