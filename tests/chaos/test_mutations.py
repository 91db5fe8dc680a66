"""Each defence on the wire holds; with it switched off, its recorded input fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.door import Door, opened
from tests.chaos.mutations import MUTATIONS, Mutation
from tests.chaos.recorded import check
from tests.chaos.test_slow_readers import assert_given_up

pytestmark = [pytest.mark.engines, pytest.mark.long]

PATIENCE = 5.0
"""Seconds after which a client that reads nothing is seen to hold its place: ten deadlines."""


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=list(MUTATIONS))
def test_without_a_defence_its_recorded_input_fails(tmp_path: Path, mutation: Mutation) -> None:
    with opened(tmp_path, off=mutation.name) as door, pytest.raises(AssertionError):
        _strike(door, mutation.case)


def _strike(door: Door, case: str) -> None:
    if case:
        check(door, case)
    else:
        assert_given_up(door, PATIENCE)
