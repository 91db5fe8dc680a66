"""A cache of the test's own, and a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.models import Models
from tests.support.hub import HubServer, running

TOKEN = "canary-token-5d1e9a"
"""Planted, to be searched for."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the cache is."""
    return tmp_path / "cache"


@pytest.fixture
def models(root: Path) -> Models:
    """The cache."""
    return Models(root)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that the client in this process asks, with a planted token."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    with running() as server:
        server.use(monkeypatch)
        yield server
