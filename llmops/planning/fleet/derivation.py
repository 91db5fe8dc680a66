"""How a figure comes about, as a tree down to what was looked up. Values, and their words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops.catalog import Source
from llmops.errors import InputError
from llmops.spec import nearest
from llmops.units import Bytes


@dataclass(frozen=True, slots=True)
class Derivation:
    """A figure, and the figures that it is made of."""

    name: str
    value: int | float | str | None
    unit: str = ""
    """`B`, `token`, `USD/h`; empty for a count or a word."""
    how: str = ""
    """The arithmetic, or why."""
    source: str = ""
    """Where it was read: fields of the configuration, or a document with its day and address."""
    parts: tuple[Derivation, ...] = ()
    adds: bool = False
    """Whether the parts add up to it exactly; else `how` says how it follows from them."""


def total(name: str, parts: Iterable[Derivation], how: str = "", unit: str = "B") -> Derivation:
    """A figure that is the sum of its parts."""
    kept = tuple(parts)
    return Derivation(name, sum(_number(one) for one in kept), unit, how, "", kept, adds=True)


def made_up(
    name: str, value: int, parts: Iterable[Derivation], how: str, unit: str, rest: str
) -> Derivation:
    """A figure whose parts add up to it with a `rest` that has a name; without one they do so."""
    kept = tuple(parts)
    over = value - sum(int(_number(one)) for one in kept)
    if over:
        kept = (*kept, Derivation(rest, over, unit))
    return Derivation(name, value, unit, how, "", kept, adds=True)


def less(name: str, one: Derivation) -> Derivation:
    """The same as something that is taken away."""
    value = -_number(one)
    return Derivation(
        name, value, one.unit, one.how, one.source,
        tuple(less(part.name, part) for part in one.parts) if one.adds else one.parts, one.adds,
    )  # fmt: skip


def brief(one: Derivation, depth: int = 1) -> Derivation:
    """The same with parts down to a depth: what has a name of its own is explained by it."""
    if not depth:
        return replace(one, parts=(), adds=False)
    return replace(one, parts=tuple(brief(part, depth - 1) for part in one.parts))


def _number(one: Derivation) -> int | float:
    return one.value if isinstance(one.value, (int, float)) else 0


def cited(source: Source | None) -> str:
    """A source of the catalogue in words."""
    if source is None:
        return ""
    where = f" {source.url}" if source.url else ""
    return f"{source.title}, as of {source.date}{where}"


def chosen(name: str, figures: Mapping[str, Any]) -> str:
    """A figure's name, if it is one.

    Raises:
        InputError: When it is none; the hint names all.
    """
    if name in figures:
        return name
    near = nearest(name, figures)
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:60])
    guess = f"did you mean '{near}'? " if near else ""
    raise InputError(
        f"expected a figure of the plan, found '{shown}'",
        hint=f"{guess}there are: {', '.join(figures)}",
    )


def lines(tree: Derivation, depth: int = 0) -> Iterator[tuple[int, str]]:
    """The tree as sentences, each with its depth."""
    head = f"{tree.name} {shown(tree)}"
    yield depth, f"{head}: {tree.how}" if tree.how else head
    if tree.source:
        yield depth + 1, f"from {tree.source}"
    for part in tree.parts:
        yield from lines(part, depth + 1)


def shown(tree: Derivation) -> str:
    """A value with its unit, for people."""
    value = tree.value
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    if tree.unit == "B":
        sign = "-" if value < 0 else ""
        size = abs(int(value))
        exact = f" ({sign}{size:,} bytes)" if size >= 1024 else ""
        return f"{sign}{Bytes(size).human()}{exact}"
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")
    plural = "s" if tree.unit == "token" and value != 1 else ""
    return f"{number} {tree.unit}{plural}".rstrip()


def plain(tree: Derivation) -> dict[str, Any]:
    """The tree as data."""
    made: dict[str, Any] = {"name": tree.name, "value": tree.value}
    made |= {"unit": tree.unit} if tree.unit else {}
    made |= {"how": tree.how} if tree.how else {}
    made |= {"source": tree.source} if tree.source else {}
    return made | ({"parts": [plain(part) for part in tree.parts]} if tree.parts else {})
