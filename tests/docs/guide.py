"""A guide as steps: what its reader types, what it ends with, and what it prints.

A comment above a fenced block says what it is. `file: NAME` is a file to write. `run` holds
commands that end with 0, `run: 3` such that end with 3. `prints` is what the last command before it
printed: a line `…` stands for others, and their order does not count, since kubectl sorts by names
and a runtime's is a digest. `not run: WHY` cannot be run where the tests run. Nothing is run here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs import pages
from tests.docs.pages import ROOT, Block

GUIDE = ROOT / "docs" / "kubernetes.md"
POLICIES = ROOT / "docs" / "policies.md"
LEFT_OUT = "…"

_CHANGING = (
    (re.compile(r"\b([0-9a-f]{12}|[0-9a-f]{40,64})\b"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"-[a-z0-9]{5}\b"), "-RANDOM"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?"), "TIME"),
    (re.compile(r"\b(\d+[smhd])+\b"), "AGE"),
    (re.compile(r"\b\d+(\.\d+)+\b"), "NUMBER"),
    (re.compile(r"\b\d+ (s|min)\b( \d+ s\b)?"), "SPAN"),
    (re.compile(r"\s+"), " "),
)
"""What differs from run to run, and what stands for it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A file to write (`name`), or a command with the code that it ends with."""

    block: Block
    command: str = ""
    code: int = 0
    name: str = ""
    prints: tuple[str, ...] = ()


def steps(page: Path = GUIDE) -> list[Step]:
    """Everything that a guide's reader does, in order."""
    found: list[Step] = []
    for block in pages.blocks(page):
        if block.mark == "prints":
            last = found.pop()
            found.append(Step(last.block, last.command, last.code, prints=_lines(block)))
        found += _of(block)
    return found


def _of(block: Block) -> Iterator[Step]:
    kind, _, said = block.mark.partition(": ")
    if kind == "file":
        yield Step(block, name=said)
    elif kind == "run":
        for command in pages.commands(block):
            yield Step(block, command, int(said or 0))


def _lines(block: Block) -> tuple[str, ...]:
    return tuple(line for line in block.text.splitlines() if line.strip())


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, stands in _CHANGING:
        line = pattern.sub(stands, line)
    return line.strip()


def missing(expected: tuple[str, ...], printed: str) -> str:
    """The first line that was not printed as often as the guide has it; empty when all were."""
    left = Counter(plain(line) for line in printed.splitlines())
    for line in expected:
        if line.strip() != LEFT_OUT:
            left[plain(line)] -= 1
            if left[plain(line)] < 0:
                return line
    return ""
