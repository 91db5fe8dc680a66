"""What a teacher is asked: a file of prompts, one a line.

A line of a `.txt` file is a user's message. A line of JSON Lines has `prompt` (a user's message) or
`messages` (a chat that ends with the user's turn; an assistant's last turn is left out, so that a
chat file can be answered anew). A line that is neither is named by file and line.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llmops.errors import InputError, Problem, SpecError
from llmops.evaluating import Item, Turn

ROLES = ("system", "user", "assistant")
MOST_PROBLEMS = 20
"""Bad lines that are told of one file."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a file."""

    items: tuple[Item, ...]
    """Each a chat, its id the number of its line."""
    bad: tuple[Problem, ...]
    """Lines that are no prompt."""

    @property
    def digest(self) -> str:
        """sha256 of what is asked."""
        lines = [json.dumps(item.document(), sort_keys=True) for item in self.items]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_prompts(path: Path, *, system: str = "", on_bad: Literal["fail", "skip"]) -> Prompts:
    """The prompts in a file.

    Args:
        path: A `.txt` or a JSON Lines file.
        system: A system message for each chat that has none; empty: none.
        on_bad: Whether a bad line is refused or left out.

    Raises:
        InputError: When the file cannot be read, or holds no prompt.
        SpecError: Naming the bad lines, unless they are to be skipped.
    """
    items, bad = [], []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    turns = _turns(line, plain=path.suffix == ".txt")
                except ValueError as error:
                    bad.append(Problem(str(path), number, 1, "", str(error)))
                    continue
                if system and turns[0].role != "system":
                    turns = (Turn("system", system), *turns)
                items.append(Item(str(number), "", turns, line=number))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the prompts {path} cannot be read: {error}") from error
    if bad and on_bad == "fail":
        raise SpecError(tuple(bad[:MOST_PROBLEMS]))
    if not items:
        raise InputError(f"{path} holds no prompt")
    return Prompts(tuple(items), tuple(bad))


def _turns(line: str, *, plain: bool) -> tuple[Turn, ...]:
    """The chat that a line is.

    Raises:
        ValueError: When it is none, saying what was expected.
    """
    if plain:
        return (Turn("user", line.strip()),)
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("expected a JSON object, found text that is none") from error
    if not isinstance(found, dict) or ("prompt" in found) == ("messages" in found):
        raise ValueError("expected an object with either prompt or messages")
    if "prompt" in found:
        return (Turn("user", _text(found["prompt"], "prompt")),)
    listed = found["messages"]
    if not isinstance(listed, list):
        raise ValueError("expected a list of messages")  # noqa: TRY004 - a line's mistake
    turns = [_turn(message) for message in listed]
    if turns and turns[-1].role == "assistant":
        turns.pop()
    if not turns or turns[-1].role != "user":
        raise ValueError("the last turn before the answer must be the user's")
    return tuple(turns)


def _turn(message: Any) -> Turn:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise ValueError(f"expected messages with a role ({', '.join(ROLES)}) and content")
    return Turn(message["role"], _text(message.get("content"), "content"))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected text as {name}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} has half of a surrogate pair, which is no text")
    return value
