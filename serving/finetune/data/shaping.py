"""Records become rows: what each format asks of a record, and what is wrong with others.

A reason names the column and the kind of thing found in it, never its content.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from itertools import takewhile

from llmops.finetuning import Rows
from serving.finetune.data.reading import Record
from serving.finetune.data.rows import TEXT, Bad, Part, Row

ROLES = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool",
         "human": "user", "gpt": "assistant"}  # fmt: skip
"""Roles by the names that rows give them; the last two are those of `{from, value}` turns."""


class _WrongError(Exception):
    """A record that is not what its format asks for."""


def shape(record: Record, rows: Rows) -> Row | Bad:
    """A record as a row of its format, or what is wrong with it."""
    try:
        parts = tuple(_SHAPES[rows.format](record.value, rows))
    except _WrongError as wrong:
        return Bad(record.source, str(wrong))
    for part in parts:
        if not part.text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in part.text):
            return Bad(record.source, "has bytes that are not UTF-8, or half of a character")
    return Row(record.source, rows.format, parts)


def _chat(value: Mapping[str, object], rows: Rows) -> Iterable[Part]:
    turns = _turns(value, rows.columns.messages)
    if turns[-1].role != "assistant":
        raise _WrongError(f"'{rows.columns.messages}' does not end with an answer of the assistant")
    return turns


def _instruction(value: Mapping[str, object], rows: Rows) -> Iterable[Part]:
    yield from _asked(value, rows)
    yield Part("assistant", _string(value, rows.columns.completion))


def _text(value: Mapping[str, object], rows: Rows) -> Iterable[Part]:
    yield Part(TEXT, _filled(value, rows) or _string(value, rows.columns.text))


def _preference(value: Mapping[str, object], rows: Rows) -> Iterable[Part]:
    chosen = _answer(value, rows.columns.chosen)
    rejected = _answer(value, rows.columns.rejected)
    if chosen == rejected:
        raise _WrongError(f"'{rows.columns.chosen}' and '{rows.columns.rejected}' are the same")
    prompt = rows.columns.prompt
    if isinstance(value.get(prompt), list):
        asked = _turns(value, prompt)
    elif rows.template is not None or prompt in value:
        asked = list(_asked(value, rows))
    else:  # both are whole conversations: what they share is what was asked
        both = zip(chosen, rejected, strict=False)
        asked = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], both)]
    count = len(asked)
    if chosen[:count] == asked == rejected[:count]:  # some rows say the prompt again
        chosen, rejected = chosen[count:], rejected[count:]
    for name, turns in ((rows.columns.chosen, chosen), (rows.columns.rejected, rejected)):
        if not asked or not turns or turns[-1].role != "assistant":
            raise _WrongError(f"'{name}' is not an answer of the assistant to something asked")
    yield from asked
    yield from (Part(turn.role, turn.text, "chosen") for turn in chosen)
    yield from (Part(turn.role, turn.text, "rejected") for turn in rejected)


_SHAPES = {"chat": _chat, "instruction": _instruction, "text": _text, "preference": _preference}


def _asked(value: Mapping[str, object], rows: Rows) -> Iterable[Part]:
    if rows.columns.system is not None:
        yield Part("system", _string(value, rows.columns.system))
    yield Part("user", _filled(value, rows) or _string(value, rows.columns.prompt))


def _answer(value: Mapping[str, object], column: str) -> list[Part]:
    if isinstance(value.get(column), list):
        return _turns(value, column)
    return [Part("assistant", _string(value, column))]


def _turns(value: Mapping[str, object], column: str) -> list[Part]:
    found = value.get(column)
    if not isinstance(found, list):
        raise _WrongError(f"column '{column}': expected a list of messages, found {_noun(found)}")
    if not found:
        raise _WrongError(f"column '{column}': expected messages, found an empty list")
    return [_turn(turn, f"{column}[{at}]") for at, turn in enumerate(found)]


def _turn(turn: object, where: str) -> Part:
    if not isinstance(turn, dict):
        raise _WrongError(f"{where}: expected {{role, content}}, found {_noun(turn)}")
    given = {key: value for key, value in turn.items() if value is not None}
    says = ("from", "value") if "from" in given else ("role", "content")
    if more := sorted(str(key) for key in given if key not in says):
        # As ASCII: half of a character could be printed and written nowhere.
        raise _WrongError(f"{where}: {more[0][:40]!a} is not known; a message is {{role, content}}")
    role, content = (given.get(name) for name in says)
    if not isinstance(role, str) or role not in ROLES:
        raise _WrongError(f"{where}: its role is none of {', '.join(list(ROLES)[:4])}")
    if not isinstance(content, str) or not content.strip():
        raise _WrongError(f"{where}: expected a text as {says[1]}, found {_noun(content)}")
    return Part(ROLES[role], content)


def _filled(value: Mapping[str, object], rows: Rows) -> str:
    """The template with the row's columns in it; empty when there is none."""
    if rows.template is None:
        return ""
    named = [name for _, name, _, _ in string.Formatter().parse(rows.template) if name]
    filled = rows.template.format_map({name: _scalar(value, name) for name in named})
    if not filled.strip():
        raise _WrongError("the template with this row's columns is empty")
    return filled


def _scalar(value: Mapping[str, object], column: str) -> str:
    found = value.get(column)
    if isinstance(found, (str, int, float)):
        return str(found)
    raise _WrongError(f"column '{column}': expected a text, found {_noun(found)}")


def _string(value: Mapping[str, object], column: str) -> str:
    found = value.get(column)
    if not isinstance(found, str) or not found.strip():
        raise _WrongError(f"column '{column}': expected a text, found {_noun(found)}")
    return found


def _noun(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "an empty text" if not value.strip() else "a text"
    names = {bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "something else")
