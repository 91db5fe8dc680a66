"""The door under fire for minutes: more than twenty thousand odd inputs over real sockets."""

from __future__ import annotations

import pytest

from tests.chaos.door import Door
from tests.chaos.inputs import KINDS
from tests.chaos.sieging import BATCH, siege

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

INPUTS = {"bodies": 9000, "framing": 7000, "heads": 5000}


def test_every_kind_is_thrown_and_together_they_are_many() -> None:
    assert INPUTS.keys() == KINDS.keys()
    assert sum(INPUTS.values()) >= 20_000


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_thousands_of_odd_inputs_are_answered_in_order_and_harm_nobody(
    door: Door, kind: str
) -> None:
    assert siege(door, kind, INPUTS[kind] // BATCH) >= INPUTS[kind]
