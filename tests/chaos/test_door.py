"""The door under fire, in short: some hundreds of odd inputs over real sockets, and the recorded.

`test_door_long` throws twenty thousand. What was found once is a case in `cases/door.yaml`.
"""

from __future__ import annotations

import pytest

from tests.chaos.door import Door
from tests.chaos.inputs import KINDS
from tests.chaos.recorded import CASES, check
from tests.chaos.sieging import BATCH, siege

BATCHES = 10


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_input_is_answered_in_order_and_cheaply(door: Door, name: str) -> None:
    check(door, name)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_whatever_is_thrown_is_answered_in_order_and_harms_nobody(door: Door, kind: str) -> None:
    assert siege(door, kind, BATCHES) >= BATCHES * BATCH
