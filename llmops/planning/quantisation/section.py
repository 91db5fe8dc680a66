"""The part of a `config.json` that speaks of quantisation: where it stands, and its fields.

Two sections that disagree are refused, because an engine would silently follow one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.planning.architecture import Fields
from llmops.planning.quantisation.names import shown

_PLACES = ("quantization_config", "compression_config")
"""Where it may stand, in the order in which vLLM 0.32 looks."""

_WIDTHS = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}

MOST_BLOCK = 65536
"""No checkpoint shares a scale among more elements of a row, unless among all of them."""


@dataclass(frozen=True, slots=True)
class Section:
    """What a reader of one method gets."""

    fields: Fields
    """The section's own."""
    model_type: str
    dtype: str
    """What the configuration says that weights are which are not quantised."""


def find(config: Mapping[str, Any]) -> Section | None:
    """The section; None when there is none, or an empty one.

    Raises:
        Refusal: When it is no mapping, or two of them disagree.
    """
    whole = Fields(config)
    found: list[tuple[str, Fields]] = []
    for place, fields in _candidates(whole):
        section = fields.section(place)
        if section.raw() and all(section.raw() != other.raw() for _, other in found):
            found.append((place, section))
    if not found:
        return None
    if len(found) > 1:
        raise whole.absurd(found[1][0], f"another quantisation than '{found[0][0]}'")
    word = whole.text("dtype") or whole.text("torch_dtype")
    return Section(found[0][1], whole.model_type, _WIDTHS.get(word, "unquantised"))


def _candidates(whole: Fields) -> Iterator[tuple[str, Fields]]:
    sections = [whole]
    if isinstance(whole.raw().get("text_config"), Mapping):
        sections.append(whole.section("text_config"))
    for fields in sections:
        for place in _PLACES:
            if fields.has(place):
                yield place, fields


def one_of(fields: Fields, field: str, allowed: tuple[Any, ...], default: Any = None) -> Any:
    """A field that has one of few values.

    Raises:
        Refusal: When it has another, or is missing without a default.
    """
    value = fields.raw().get(field)
    if value is None:
        value = default
    if value is None:
        raise fields.absurd(field, "missing")
    same = [one for one in allowed if one == value and type(one) is type(value)]
    if not same:
        known = ", ".join(str(one) for one in allowed)
        raise fields.absurd(field, f"{shown(str(value))}, and known are {known}")
    return same[0]


def group(fields: Fields, *names: str, default: int | None = None) -> int:
    """Inputs that share a scale; 0 for all of an output's, which a configuration writes as -1.

    Raises:
        Refusal: When it is no such number.
    """
    there = next((name for name in names if fields.has(name)), names[0])
    if fields.raw().get(there) == -1:
        return 0
    size = fields.number(there, default=default)
    if size > MOST_BLOCK:
        raise fields.absurd(there, f"{size}, above {MOST_BLOCK}")
    return size


def block(fields: Fields, field: str) -> tuple[int, int] | None:
    """Rows and columns that share a scale; None when the field is missing.

    Raises:
        Refusal: When it is no pair of numbers above 0.
    """
    pair = fields.numbers(field)
    if pair is None:
        return None
    if len(pair) != 2 or not all(0 < side <= MOST_BLOCK for side in pair):
        raise fields.absurd(field, f"not two numbers from 1 to {MOST_BLOCK}")
    return (pair[0], pair[1])


def listed(fields: Fields, *names: str) -> tuple[str, ...]:
    """The first list of names that is there and not empty.

    Raises:
        Refusal: When it is no list of words.
    """
    for name in names:
        entries = fields.texts(name)
        if entries:
            return entries
    return ()


def mapping(fields: Fields, field: str) -> Iterator[tuple[str, Fields]]:
    """The mappings that a mapping holds, by their keys; nothing when it is missing.

    Raises:
        Refusal: When it, or something in it, is no mapping.
    """
    if not fields.has(field):
        return
    inner = fields.section(field)
    keys: list[object] = list(inner.raw())
    for key in keys:
        if not isinstance(key, str) or not key.isprintable():
            raise fields.absurd(field, "a mapping with a key that is no word")
        yield key, inner.section(key)
