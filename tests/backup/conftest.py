"""A real server of the S3 protocol on loopback (moto)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backup.making import CANARY
from tests.support.buckets import empty_bucket, s3_server

BUCKET = "kept"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a store."""
    with s3_server() as address:
        yield address


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client of an empty store, which fsspec finds by the environment."""
    with empty_bucket(server, BUCKET, CANARY, monkeypatch, tmp_path) as client:
        yield client
