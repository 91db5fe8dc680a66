"""A cloud for every test that reads an account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infra.cloud import Cloud, served


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    yield from served(monkeypatch)
