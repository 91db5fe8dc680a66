"""Gateways for the tests, closed when each ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.gateway.fakes import FakeUpstream, Gate


class MakesGate(Protocol):
    def __call__(self, upstream: FakeUpstream | None = None, **options: Any) -> Gate: ...


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[MakesGate]:
    """Makes gateways, each with a home of its own."""
    made: list[Gate] = []

    def make(upstream: FakeUpstream | None = None, **options: Any) -> Gate:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir(mode=0o700)
        made.append(Gate(home, upstream, **options))
        return made[-1]

    yield make
    for gate in made:
        gate.audit.close()


@pytest.fixture
def gate(make_gate: MakesGate) -> Gate:
    return make_gate()
