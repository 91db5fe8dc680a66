"""Cases from files. What is too long to write down is written as what it is made of.

{$text: [piece, n]}          the piece n times
{$join: [text, ...]}         the texts as one
{$list: [item, n]}           a list of n such items
{$object: [prefix, n, v]}    n keys, each the prefix and a number, each with that value
{$numbered: [prefix, n, v]}  the same, the numbers in v made to differ by one
{$nest: n}                   n lists within one another
{$json: value}               the value as JSON text
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parents[1] / "cases" / "gateway"


def load(name: str) -> list[Any]:
    """The cases of a file, as parameters named by the case."""
    documents = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    return [pytest.param(expand(d), id=str(d.get("name") or d["ask"])) for d in documents]


def expand(value: Any) -> Any:
    if isinstance(value, list):
        return [expand(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (made := next(iter(value))) in MAKERS:
        argument = expand(value[made])
        return MAKERS[made](*argument) if isinstance(argument, list) else MAKERS[made](argument)
    return {key: expand(item) for key, item in value.items()}


def _nest(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth - 1):
        found = [found]
    return found


def _numbered(prefix: str, often: int, value: dict[str, int]) -> dict[str, Any]:
    return {f"{prefix}{i}": {k: v + i for k, v in value.items()} for i in range(often)}


MAKERS: dict[str, Callable[..., Any]] = {
    "$text": lambda piece, often: piece * often,
    "$join": lambda *texts: "".join(texts),
    "$list": lambda item, often: [item] * often,
    "$object": lambda prefix, often, value: {f"{prefix}{i}": value for i in range(often)},
    "$numbered": _numbered,
    "$nest": _nest,
    "$json": json.dumps,
}
