"""From text to nodes, one event after another: no recursion, and no more work than is bounded.

Built on the parser's events and not on its loader, because a loader builds objects, keeps the last
of two equal keys, follows aliases without end, and forgets where a value stood. Nothing here knows
which keys are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from llmops.errors import Problem
from llmops.spec import scalars, syntax, text
from llmops.spec.document import Document
from llmops.spec.nodes import (
    Broken,
    Entry,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sequence,
    Trail,
    dotted,
)

MOST_DEPTH = 32
"""Levels of nesting; the format's own sections take four."""

MOST_NODES = 20_000
"""Values of a file, those that aliases repeat counted each time."""

MERGE = "<<"


class _Events(Reader, Scanner, Parser):
    """PyYAML's reader, scanner and parser without its composer and constructor."""

    def __init__(self, stream: str) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)


class _Refused(Exception):
    """The rest of the file cannot be read; the problem has been noted."""


@dataclass(slots=True)
class _Known:
    """What an anchor stands for; `node` is None while it is still open."""

    node: Node | None
    size: int = 0
    height: int = 0


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read."""

    mark: Mark
    block: bool
    mapping: bool
    anchor: str | None
    broken: bool
    before: int
    """Number of values when it began."""
    items: list[Node] = field(default_factory=list)
    """Elements; for a mapping, keys and values in turn."""
    height: int = 0

    def step(self) -> str | int | None:
        """The way from this to what comes next; None when that is a key."""
        if not self.mapping:
            return len(self.items)
        key = self.items[-1] if len(self.items) % 2 else None
        return str(key.written) if isinstance(key, Scalar) else None


def parse(source: str, file: str, document: Document[Any], problems: list[Problem]) -> Node | None:
    """The one document of `source`; None when it cannot be read, with a problem that says why.

    Problems that leave the rest readable are added too; their nodes are `Broken`.
    """
    source = source.removeprefix("\ufeff")
    if hidden := text.check(source, file):
        problems += hidden
        return None
    events: Any = _Events(source)
    builder = _Builder(file, document, problems)
    try:
        while events.check_event():
            builder.take(events.get_event())
    except _Refused:
        return None
    # The scanner leaks ValueError, OverflowError and others for odd escapes and directives; any of
    # them means the same to the user.
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        problems.append(syntax.problem_of(error, source, file, document, events.index))
        return None
    if builder.root is None:
        problems.append(_empty(source, file, document))
    return builder.root


def _empty(source: str, file: str, document: Document[Any]) -> Problem:
    found = "comments only" if source.strip() else "an empty file"
    message = f"expected {document.describes}, found {found}"
    return Problem(file, 1, 1, "", message, document.begin)


class _Builder:
    """Takes events; has the root when the last has come."""

    def __init__(self, file: str, document: Document[Any], problems: list[Problem]) -> None:
        self.root: Node | None = None
        self._file = file
        self._document = document
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Known] = {}
        self._count = 0

    def take(self, event: Any) -> None:
        mark = Mark(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._refuse(
                mark, "expected one document, found another",
                "remove the '---', or pass the documents as files of their own",
            )  # fmt: skip
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), mark)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, mark)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(event, mark)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._end()

    def _note(self, mark: Mark, trail: Trail, message: str, hint: str) -> Broken:
        self._problems.append(
            Problem(mark.file, mark.line, mark.column, dotted(trail), message, hint)
        )
        return Broken(mark)

    def _refuse(self, mark: Mark, message: str, hint: str) -> None:
        self._note(mark, (), message, hint)
        raise _Refused

    def _trail(self) -> Trail:
        return tuple(step for frame in self._stack if (step := frame.step()) is not None)

    def _add(self, node: Node, height: int, mark: Mark) -> None:
        """Put a finished value where it belongs."""
        if self._count > MOST_NODES:
            self._refuse(
                mark, f"expected at most {MOST_NODES} values, found more",
                "aliases (*) count each time they repeat something",
            )  # fmt: skip
        if len(self._stack) + height > MOST_DEPTH:
            self._refuse(
                mark, f"expected at most {MOST_DEPTH} levels of nesting, found more",
                f"the sections of {self._document.noun} are"
                f" {self._document.levels} levels deep at most",
            )  # fmt: skip
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        top.items.append(node)
        top.height = max(top.height, height)

    def _alias(self, anchor: str, mark: Mark) -> None:
        known = self._anchors.get(anchor)
        if known is None:
            names = ", ".join(f"&{name}" for name in list(self._anchors)[:8]) or "none"
            message = f"expected an anchor above this, found none for '*{anchor[:40]}'"
            broken = self._note(mark, self._trail(), message, f"anchors above: {names}")
            self._add(broken, 0, mark)
        elif known.node is None:
            message = f"expected an end, found '*{anchor[:40]}' inside what it stands for"
            self._refuse(mark, message, "write out what is meant")
        else:
            self._count += known.size
            self._add(known.node, known.height, mark)

    def _scalar(self, event: Any, mark: Mark) -> None:
        plain = not event.style
        value = scalars.resolve(event.value, plain=plain, tag=event.tag)
        node: Node
        if isinstance(value, scalars.Surprise):
            node = self._note(mark, self._trail(), value.message, value.hint)
        else:
            node = Scalar(mark, value, event.value, plain)
        self._count += 1
        if event.anchor:
            self._anchors[event.anchor] = _Known(node, 1, 0)
        self._add(node, 0, mark)

    def _begin(self, event: Any, mark: Mark) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        broken = not scalars.plain_collection(event.tag, "map" if mapping else "seq")
        if broken:
            surprise = scalars.refused_tag(event.tag)
            self._note(mark, self._trail(), surprise.message, surprise.hint)
        if event.anchor:
            self._anchors[event.anchor] = _Known(None)
        block = not event.flow_style
        self._stack.append(_Frame(mark, block, mapping, event.anchor, broken, self._count))
        self._count += 1
        if len(self._stack) > MOST_DEPTH:
            self._add(Broken(mark), 1, mark)

    def _end(self) -> None:
        frame = self._stack[-1]
        node: Node
        if frame.mapping:
            node = Mapping(frame.mark, frame.block, self._entries(frame))
        else:
            node = Sequence(frame.mark, frame.block, tuple(frame.items))
        node = Broken(frame.mark) if frame.broken else node
        self._stack.pop()
        height = frame.height + 1
        if frame.anchor:
            self._anchors[frame.anchor] = _Known(node, self._count - frame.before, height)
        self._add(node, height, frame.mark)

    def _entries(self, frame: _Frame) -> dict[str, Entry]:
        """The entries of a mapping that has ended; its own keys win over merged ones."""
        # The mapping is still on the stack, with its way to the next key: none.
        above = self._trail()
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in _pairs(frame.items):
            name = self._key(key, above)
            if name is None:
                continue
            if name in own:
                first = own[name].mark
                self._note(
                    key.mark, (*above, name),
                    f"expected each key once, found '{name[:40]}' again"
                    f" (first in line {first.line}, column {first.column})",
                    "remove one of them",
                )  # fmt: skip
            elif name == MERGE and isinstance(key, Scalar) and key.plain:
                own[name] = Entry(key.mark, value)
                self._merge(value, key.mark, above, merged)
            else:
                own[name] = Entry(key.mark, value)
        own.pop(MERGE, None)
        return {**merged, **own}

    def _key(self, key: Node, above: Trail) -> str | None:
        if isinstance(key, Scalar) and isinstance(key.value, str):
            return key.value
        if isinstance(key, Scalar):
            shown = key.written[:40] or "nothing"
            hint = f"quote it: '{shown}'" if key.written else "write a key in front of the ':'"
            self._note(key.mark, above, f"expected a name as key, found {shown}", hint)
        elif not isinstance(key, Broken):
            kind = "a mapping" if isinstance(key, Mapping) else "a list"
            hint = "put quotes around text that begins with '[', '{' or '?'"
            self._note(key.mark, above, f"expected a name as key, found {kind}", hint)
        return None

    def _merge(self, value: Node, mark: Mark, above: Trail, into: dict[str, Entry]) -> None:
        sources = value.items if isinstance(value, Sequence) else (value,)
        for source in sources:
            if isinstance(source, Mapping):
                for name, entry in source.entries.items():
                    into.setdefault(name, entry)
            elif not isinstance(source, Broken):
                self._note(
                    mark, (*above, MERGE),
                    "expected the alias of a mapping (*name), found something else",
                    "'<<' takes in the keys of a mapping that has an anchor (&name)",
                )  # fmt: skip


def _pairs(items: list[Node]) -> Iterator[tuple[Node, Node]]:
    return zip(items[::2], items[1::2], strict=True)
