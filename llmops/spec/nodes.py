"""What a file says, as values that know where they were written.

A node is a scalar, a sequence or a mapping; a `Broken` one stands for what has been complained
about already, so that nothing is told twice. No node knows what a Deployment is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Trail = tuple[str | int, ...]
"""The way to a value: keys, and numbers of list elements."""

Plain = str | int | float | bool | None
"""A scalar's value."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, and how it was spelled; `plain` when it stood there without quotes."""

    mark: Mark
    value: Plain
    written: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    block: bool
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value."""

    mark: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values, in the order of the file."""

    mark: Mark
    block: bool
    entries: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Broken:
    """A value that is wrong in itself; whoever found it has reported it."""

    mark: Mark


Node = Scalar | Sequence | Mapping | Broken

BROKEN = object()
"""What `data` gives for a `Broken` node: of no type that any field takes."""


def data(node: Node) -> Any:
    """The node as dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {key: data(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [data(item) for item in node.items]
    return BROKEN if isinstance(node, Broken) else node.value


def overlay(below: Node, above: Node) -> Node:
    """`above` laid over `below`: mappings are merged, anything else is replaced."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        old = entries.get(key)
        entries[key] = Entry(entry.mark, overlay(old.node, entry.node)) if old else entry
    return Mapping(below.mark, below.block, entries)


def steps(root: Node, trail: Trail) -> Iterator[tuple[Mark, Node]]:
    """Place and node of each step of `trail` that is there, outermost first."""
    node = root
    for step in trail:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            mark, node = node.entries[step].mark, node.entries[step].node
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            mark = node.mark
        else:
            return
        yield mark, node


def find(root: Node, trail: Trail) -> Node | None:
    """The node at `trail`, if there is one."""
    passed = [root, *(node for _, node in steps(root, trail))]
    return passed[-1] if len(passed) == len(trail) + 1 else None


def broken_on(root: Node, trail: Trail) -> bool:
    """Whether what is at `trail`, or what it lies in, has been complained about already."""
    return any(isinstance(node, Broken) for _, node in steps(root, trail))


def place(root: Node, trail: Trail, *, key: bool = False) -> Mark:
    """Where to point for a mistake at `trail`: at the value, or at its key.

    The key it is as well when nothing, or a block, stands behind it. When the value is not there,
    the nearest that it would lie in.
    """
    passed = list(steps(root, trail))
    if not passed:
        return root.mark
    mark, node = passed[-1]
    empty = isinstance(node, Scalar) and not node.written and node.plain
    block = isinstance(node, (Mapping, Sequence)) and node.block
    behind_key = len(passed) == len(trail) and not key and not empty and not block
    return node.mark if behind_key else mark


_SIMPLE = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_STEP = re.compile(
    r'\.?(?:(?P<key>[^.\[\]"]+)|\[(?P<index>\d{1,6})\]|\[(?P<quoted>"(?:\\.|[^"])*")\])'
)


def dotted(trail: Trail) -> str:
    """`security.keys[0]`; a key that is no plain name stands in brackets and quotes."""
    text = ""
    for step in trail:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SIMPLE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step if len(step) <= 60 else step[:59] + '…')}]"
    return text


def trail_of(path: str) -> Trail:
    """The trail that `dotted` wrote; what cannot be read ends it."""
    trail: list[str | int] = []
    at = 0
    while match := _STEP.match(path, at):
        at = match.end()
        if match["index"] is not None:
            trail.append(int(match["index"]))
        else:
            trail.append(match["key"] or json.loads(match["quoted"]))
    return tuple(trail)
