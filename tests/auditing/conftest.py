"""Gateways for audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.gateway import Defences
from tests.auditing.stage import Stage
from tests.gateway.fakes import FakeUpstream, Gate

MakesStage = Callable[..., Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[MakesStage]:
    """Makes a gateway with all defences but those that are named."""
    made: list[Gate] = []

    def make(*off: str, upstream: FakeUpstream | None = None, **limits: Any) -> Stage:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir(mode=0o700)
        defences = Defences(**dict.fromkeys(off, False))
        made.append(Gate(home, upstream, defences=defences, **limits))
        return Stage(made[-1])

    yield make
    for gate in made:
        gate.audit.close()
