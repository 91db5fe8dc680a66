"""The recorded inputs of `cases/door.yaml`: how one is read, thrown and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.door import Door
from tests.chaos.inputs import CHAT, TALK, Input, sent_in_order
from tests.chaos.judging import assert_nothing_written
from tests.chaos.sieging import throw
from tests.gateway.cases import expand

MOST_EFFORT = 2.0
"""Seconds of the processor that one input may take; what was found took hours."""
MOST_MEMORY = 48 * 2**20
"""Bytes that one input may take, of up to 1 MiB."""
FILE = Path(__file__).parent / "cases" / "door.yaml"
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in yaml.safe_load(FILE.read_text(encoding="utf-8"))
}


def check(door: Door, name: str) -> None:
    """Throw a case.

    Raises:
        AssertionError: When it is not answered as it should be, costs too much, or is told of.
    """
    case = CASES[name]
    effort, memory = door.effort(), door.peak()
    [answers] = throw(door, [_input(case)], closes=True)
    statuses = [answer.status for answer in answers]
    assert statuses == case["answers"], f"{name}: {statuses}, not {case['answers']}"
    took, more = door.effort() - effort, door.peak() - memory
    assert took <= MOST_EFFORT, f"{name}: {took:.1f} s of the processor"
    assert more <= MOST_MEMORY, f"{name}: {more >> 20} MiB"
    assert_nothing_written(door)


def _input(case: dict[str, Any]) -> Input:
    """What a case sends: see the head of the file."""
    if "body" in case:
        return sent_in_order(CHAT, json.dumps(TALK | expand(case["body"])).encode())
    if "raw" in case:
        return sent_in_order(CHAT, expand(case["raw"]).encode("latin-1"))
    parts = [expand(part) for part in case["sent"]]
    return tuple(part.encode("latin-1") if isinstance(part, str) else part for part in parts)
