"""Kills at random instants on a real runtime, in short; `benchmarks.kills` has hundreds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.adapted import adapted
from tests.chaos.killing import Killing, campaign

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(2700)]

STRIKES = 30


def test_the_next_run_makes_of_what_was_killed_what_was_meant(tmp_path: Path) -> None:
    with adapted(tmp_path / "killed") as service:
        killing = Killing(service, random.Random(1))
        for _ in campaign(killing, STRIKES):
            pass
    assert len(killing.strikes) >= STRIKES
    assert {one.whom for one in killing.strikes} == {"command", "runtime"}
    assert killing.unsettled, "no strike has left anything to finish"
    assert killing.asked.keys() <= {"200", "while down"}, killing.asked
