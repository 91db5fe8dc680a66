"""Inputs thrown at a door in batches, each answer judged; and the door as it is afterwards."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chaos.door import Door
from tests.chaos.inputs import KINDS, Input
from tests.chaos.judging import addressed, judge, unharmed
from tests.chaos.wire import BOUND_TO_END, QUIET, Answer, at_once

BATCH = 10
"""Inputs that are thrown at the same time, each over a line of its own."""


def throw(door: Door, batch: list[Input], *, closes: bool = False) -> list[list[Answer]]:
    """Throw a batch; what each input was answered.

    Args:
        door: What is thrown at.
        batch: The inputs.
        closes: Whether the door is to end each line.

    Raises:
        AssertionError: When an answer breaks a promise.
    """
    sent = [addressed(one, door.keys["caller"]) for one in batch]
    heard = asyncio.run(at_once(door.port, sent, BOUND_TO_END if closes else QUIET))
    assert not closes or all(line.closed for line in heard), "a line is kept open"
    return [judge(one, line, door.keys) for one, line in zip(sent, heard, strict=True)]


def siege(door: Door, kind: str, batches: int) -> int:
    """Throw at least so many batches of a kind; the inputs thrown.

    Raises:
        AssertionError: When a promise is broken, of an answer or of the door.
    """
    thrown = 0

    @settings(
        max_examples=batches, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(KINDS[kind], min_size=BATCH, max_size=BATCH))
    def strike(batch: list[Input]) -> None:
        nonlocal thrown
        throw(door, batch)
        thrown += len(batch)

    with unharmed(door) as neighbour:
        strike()
    print(f"{thrown} inputs; a neighbour waited at most {max(neighbour.waits):.2f} s")
    return thrown
