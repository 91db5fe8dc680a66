"""A door for the tests of one file, ended when they have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.door import Door, opened


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(tmp_path_factory.mktemp("door")) as running:
        yield running
