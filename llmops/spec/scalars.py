"""What an unquoted word means: YAML 1.2's core rules; what YAML 1.1 read otherwise is refused.

`no` was false, `010` was 8, `12:30` was 750 and `2024-01-01` a date to many programs. Whoever
writes one of these means something else than some reader of the file, so it is not guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.spec.nodes import Plain
from llmops.spec.text import name_of, unprintable

MOST_DIGITS = 18
"""Digits of a number; more than any field holds."""

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_OLD_TRUE = {"yes", "on"}
_OLD_FALSE = {"no", "off"}
_CORE_TAG = "tag:yaml.org,2002:"

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_ODD = (
    (re.compile(r"[-+]?0[0-9]+", re.ASCII), "a number with a leading zero (octal to some readers)"),
    (re.compile(r"[-+]?0(o[0-7]+|x[0-9a-fA-F]+|b[01]+)", re.ASCII), "a number that is not decimal"),
    (re.compile(r"[-+]?(?=[0-9]*_)[0-9][0-9_]*(\.[0-9_]*)?", re.ASCII), "a number with '_' in it"),
    (
        re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", re.ASCII),
        "digits with colons (a number in base 60 to some readers)",
    ),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII), "a number that is none"),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", re.ASCII),
        "a date (of a type of its own to some readers)",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surprise:
    """Why a word is not read."""

    message: str
    hint: str


def resolve(text: str, *, plain: bool, tag: str | None) -> Plain | Surprise:
    """The value of a scalar.

    Args:
        text: Its text, escapes resolved.
        plain: Whether it stood there without quotes.
        tag: The tag in front of it, if any.
    """
    if (bad := unprintable(text)) is not None:
        return Surprise(f"expected printable text, found {name_of(bad)}", "remove it")
    if tag is None:
        return _word(text) if plain else text
    kind = tag.removeprefix(_CORE_TAG)
    if kind == "str":
        return text
    value = _word(text)
    names = {"null": type(None), "bool": bool, "int": int, "float": float}
    wanted = names.get(kind) if tag.startswith(_CORE_TAG) else None
    if wanted is None:
        return refused_tag(tag)
    if isinstance(value, Surprise) or type(value) is wanted:
        return value
    return Surprise(f"expected what !!{kind} says, found {text[:40]!r}", f"remove !!{kind}")


def refused_tag(tag: str) -> Surprise:
    """The refusal of a tag: a value is what it looks like, and nothing is constructed."""
    shown = tag.replace(_CORE_TAG, "!!")
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    return Surprise(f"expected a plain value, found the tag '{shown}'", "remove the tag")


def plain_collection(tag: str | None, kind: str) -> bool:
    """Whether a tag in front of a list (`seq`) or a mapping (`map`) says only that."""
    return tag is None or tag == _CORE_TAG + kind


def _word(text: str) -> Plain | Surprise:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    lower = text.lower()
    if lower in _OLD_TRUE or lower in _OLD_FALSE:
        means = "true" if lower in _OLD_TRUE else "false"
        return Surprise(
            f"expected true, false or quoted text, found {text} (YAML reads it as a boolean)",
            f"write {means} for a boolean, or quote it: '{text}'",
        )
    return _number(text)


def _number(text: str) -> Plain | Surprise:
    if _INT.fullmatch(text):
        digits = len(text.lstrip("+-"))
        if digits > MOST_DIGITS:
            return Surprise(
                f"expected a number of at most {MOST_DIGITS} digits, found {digits} digits",
                "quote it if it is meant as text",
            )
        return int(text)
    for pattern, what in _ODD:
        if pattern.fullmatch(text):
            return Surprise(
                f"expected a decimal number or quoted text, found {text[:40]}: {what}",
                _odd_hint(text),
            )
    if _FLOAT.fullmatch(text):
        value = float(text)
        if abs(value) == float("inf"):
            return Surprise(
                f"expected a number, found {text[:40]}: larger than can be held",
                "quote it if it is meant as text",
            )
        return value
    return text


def _odd_hint(text: str) -> str:
    digits = text.replace("_", "")
    quote = f"quote it if it is meant as text: '{text[:40]}'"
    if "_" in text and _INT.fullmatch(digits):
        return f"write {digits}, or {quote}"
    if text.lstrip("+-").isdecimal() and len(text) <= MOST_DIGITS:
        return f"write {int(text)} without the zero in front, or {quote}"
    if text.lower().endswith(("inf", "nan")):
        return "write a number, or remove the key"
    return quote
