"""How much work a CEL expression can be at most, told before any of it is done.

The library that evaluates CEL knows no limit, so an expression of a line could run for hours or
fill the memory. As in Kubernetes, the worst case is reckoned from the expression and from how large
the values are that it looks at; what is above a bound is refused. Only the shape is read here (what
is called on what, and what is in what): whether it is CEL at all is for the library to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_STEPS = 100_000
"""Steps that an expression may take in the worst case. A million took 0.4 s of one core, and copies
of long lists up to 20 times as long."""

MOST_SIZE = 5_000_000
"""Characters and elements that a value may have on the way."""

MOST_DEPTH = 30
"""Brackets and calls in one another."""

MOST_PATTERN = 200
"""Characters of a regular expression."""

LOOPS = ("all", "exists", "exists_one", "existsOne")
"""Macros that give a truth."""

COPIES = ("filter", "map")
"""Macros that give a list. The library copies what it has so far for each element."""

FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches has int uint double string bytes bool type dyn"
    " duration timestamp getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
    " getHours getMinutes getSeconds getMilliseconds".split()
)
"""Functions that may be called: those of CEL's own definition, none of which grows a value."""

_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*)"
    r"|(?P<text>[rRbB]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'))"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[uU]?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])",
    re.ASCII | re.DOTALL,
)
_HIDDEN = re.compile(r"\\[xXuU0-7]", re.ASCII)
"""Characters by their number, among which a repetition could hide."""

_REPEAT = re.compile(r"\{(\d*)(?:,(\d*))?\}", re.ASCII)


class TooMuchError(ValueError):
    """An expression that may not be evaluated. The message says why."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a value is at most."""

    longest: int = 0
    """Elements of the longest list or mapping in it."""
    size: int = 1
    """Characters and elements of it in all."""
    value: Any = None
    """The mapping or list itself, where it is known."""

    def __add__(self, other: Extent) -> Extent:
        return Extent(self.longest + other.longest, self.size + other.size)


UNKNOWN = Extent(longest=30, size=1000)
"""What a value is taken for that is not there yet: when a policy is read, before any plan. Two
loops in one another are then within the bounds, and three are not."""


def extent(value: Any) -> Extent:
    """How large a value is."""
    if isinstance(value, (str, bytes)):
        return Extent(0, 1 + len(value))
    if isinstance(value, Mapping):
        parts = [extent(one) for one in value.values()]
        size = sum(len(str(key)) for key in value)
    elif isinstance(value, Sequence):
        parts, size = [extent(one) for one in value], 0
    else:
        return Extent()
    longest = max([len(parts), *(part.longest for part in parts)])
    return Extent(longest, 1 + size + sum(part.size for part in parts), value)


def _element(over: Extent) -> Extent:
    """The largest that a loop's variable can be; of a mapping it is a key."""
    if not isinstance(over.value, Sequence):
        return Extent(over.longest, over.size)
    parts = [extent(one) for one in over.value] or [Extent()]
    return Extent(max(part.longest for part in parts), max(part.size for part in parts))


def cost(text: str, variables: Mapping[str, Extent]) -> int:
    """Steps that an expression takes at most, with variables of these extents.

    Args:
        text: A CEL expression that compiles.
        variables: What it may name; anything else has no extent, and fails when it is evaluated.

    Raises:
        TooMuchError: When it takes more than `MOST_STEPS`, makes a value of more than `MOST_SIZE`,
            is nested deeper than `MOST_DEPTH`, or calls what is not known here.
    """
    reader = _Reader(list(_tokens(text)))
    reader.all(dict(variables))
    return reader.steps


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TooMuchError(f"it has a character that is not read here: {text[position]!r}")
        position = match.end()
        kind, word = str(match.lastgroup), match.group()
        if kind != "skip":
            yield "mark" if word == "in" else kind, word


class _Reader:
    """Reads an expression once from left to right, and adds up what it costs.

    Operators are not told apart: what two values come to is taken as no larger than both together,
    and a step is counted for each word, plus one for every hundred characters that it may look at.
    """

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._often = 1
        self.steps = 0

    def all(self, variables: dict[str, Extent]) -> Extent:
        found = self._many(variables, "")
        if self._at < len(self._tokens):
            raise TooMuchError("it could not be read")
        return found

    @property
    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise TooMuchError("it could not be read")
        self._at += 1
        return self._tokens[self._at - 1]

    def _count(self, steps: int) -> None:
        self.steps += self._often * steps
        if self.steps > MOST_STEPS:
            raise TooMuchError(
                f"it may take more than {MOST_STEPS:,} steps: use fewer loops in one another,"
                " or shorter lists"
            )

    def _many(self, variables: dict[str, Extent], end: str) -> Extent:
        """Terms up to a closing bracket; all of them together, commas too."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TooMuchError(f"it is nested more than {MOST_DEPTH} deep")
        total, items = Extent(), 1
        while self._next != end:
            kind, word = self._take()
            if kind == "mark" and word not in ("(", "[", "{", "."):
                items += word == ","
                continue
            self._at -= 1
            total += self._term(variables)
        self._depth -= 1
        return Extent(max(total.longest, items), self._sized(total.size + items))

    def _sized(self, size: int) -> int:
        if size > MOST_SIZE:
            raise TooMuchError(f"it may make a value of more than {MOST_SIZE:,} characters")
        self._count(1 + size // 100)
        return size

    def _within(self, variables: dict[str, Extent], end: str) -> Extent:
        self._take()
        found = self._many(variables, end)
        self._take()
        return found

    def _term(self, variables: dict[str, Extent]) -> Extent:
        value = self._atom(variables)
        while self._next in (".", "[", "{"):
            if self._next == "[":
                index = self._within(variables, "]")
                value = Extent(value.longest, value.size + index.size)
            elif self._next == "{":
                value += self._within(variables, "}")
            else:
                self._take()
                value = self._member(value, self._take()[1], variables)
        return value

    def _atom(self, variables: dict[str, Extent]) -> Extent:
        if self._next == ".":
            self._take()
        kind, word = self._take()
        if word in ("(", "[", "{") and kind == "mark":
            self._at -= 1
            return self._within(variables, {"(": ")", "[": "]", "{": "}"}[word])
        self._count(1)
        if kind == "text":
            return Extent(0, self._sized(1 + len(word)))
        if kind == "name" and self._next == "(":
            return self._called(word, variables)
        return variables.get(word, Extent()) if kind == "name" else Extent()

    def _called(self, name: str, variables: dict[str, Extent]) -> Extent:
        _known(name)
        return self._within(variables, ")") + Extent(0, 40)

    def _member(self, value: Extent, name: str, variables: dict[str, Extent]) -> Extent:
        self._count(1)
        if self._next != "(":
            inner = value.value.get(name) if isinstance(value.value, Mapping) else None
            return extent(inner) if inner is not None else Extent(value.longest, value.size)
        if name in LOOPS or name in COPIES:
            return self._loop(value, name, variables)
        _known(name)
        if name == "matches":
            return self._matched(value)
        self._count(value.size // 100)
        return value + self._called(name, variables)

    def _loop(self, over: Extent, name: str, variables: dict[str, Extent]) -> Extent:
        """A macro: its variable stands for one element, what follows is done for each of them."""
        self._take()
        bound = self._take()[1]
        before, rounds = self._often, over.longest
        if name in COPIES:  # each round copies the list that there is so far
            self._count(rounds * rounds // 2)
        self._often = before * max(1, rounds)
        body = self._many({**variables, bound: _element(over)}, ")")
        self._often = before
        self._take()
        if name in LOOPS:
            return Extent()
        if name == "filter":
            return Extent(over.longest, over.size)
        return Extent(max(rounds, body.longest), self._sized(rounds * body.size))

    def _matched(self, value: Extent) -> Extent:
        """A regular expression: linear in the text, but as large as its repetitions multiply."""
        self._take()
        kind, pattern = self._take()
        if kind != "text" or self._next != ")":
            raise TooMuchError("the pattern of matches() must be written out, in quotes")
        self._take()
        self._count(_weight(pattern) + value.size // 10)
        return Extent()


def _weight(pattern: str) -> int:
    """Steps that making a regular expression takes: a part is as many as it is repeated."""
    if _HIDDEN.search(pattern) and pattern[0] not in "rR":
        raise TooMuchError("a pattern of matches() has escaped characters: write it as r'…'")
    if len(pattern) > MOST_PATTERN:
        raise TooMuchError(f"a pattern of matches() has more than {MOST_PATTERN} characters")
    weight = 10 * len(pattern)
    for low, high in _REPEAT.findall(pattern):
        weight *= max(int(low or 1), int(high or 1), 1)
    return weight


def _known(name: str) -> None:
    if name not in FUNCTIONS:
        raise TooMuchError(f"it calls {name}(), which rules may not")
