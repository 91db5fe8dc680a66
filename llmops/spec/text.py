"""From bytes to text that can be shown and parsed: UTF-8, of bounded size, nothing invisible.

What a person sees in an editor must be what the program reads, so control characters are refused
wherever they stand, comments included, and so are those that reorder text on a screen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmops.errors import Problem

if TYPE_CHECKING:
    from llmops.spec.document import Document

LIMIT = 2**20
"""Most bytes of a file. The largest real ones are a few KiB."""

_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
)
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def decode(raw: bytes, file: str, document: Document[Any], problems: list[Problem]) -> str | None:
    """The text of `raw`, or None and a problem. At most `LIMIT + 1` bytes need be given."""
    if len(raw) > LIMIT:
        problems.append(
            Problem(
                file, 1, 1, "",
                f"expected at most {LIMIT // 2**20}MiB, found a larger file",
                f"{document.noun} is a short text: is this the file you meant?",
            )
        )  # fmt: skip
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        line, column = position(before.removeprefix("\ufeff"))
        utf16 = raw.startswith(_UTF16)
        found = "UTF-16" if utf16 else f"byte 0x{raw[error.start]:02x} at offset {error.start}"
        message = f"expected text in UTF-8, found {found}"
        problems.append(Problem(file, line, column, "", message, "save the file as UTF-8"))
        return None


def position(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows `before`."""
    line, start = 1, 0
    for match in _BREAK.finditer(before):
        line, start = line + 1, match.end()
    return line, len(before) - start + 1


def check(text: str, file: str) -> list[Problem]:
    """What `text` holds that must not be in a file: the first of each kind, and how many more."""
    problems = []
    for pattern, hint in (
        (_CONTROL, "remove it: it cannot be seen in an editor"),
        (_BIDI, "remove it: it makes an editor show something else than what is read"),
    ):
        found = pattern.search(text)
        if found:
            more = sum(1 for _ in pattern.finditer(text)) - 1
            also = f" (and {more} more of its kind)" if more else ""
            line, column = position(text[: found.start()])
            message = f"expected printable text, found {name_of(found[0])}{also}"
            problems.append(Problem(file, line, column, "", message, hint))
    return problems


def name_of(character: str) -> str:
    """A character that cannot be shown, in words."""
    code = ord(character)
    if code == 0:
        return "a NUL byte"
    if _BIDI.match(character):
        return f"the bidirectional control character U+{code:04X}"
    return f"the control character U+{code:04X}"


def unprintable(value: str) -> str | None:
    """The first character that no value may hold, however it was written."""
    found = _CONTROL.search(value) or _BIDI.search(value)
    return found[0] if found else None
