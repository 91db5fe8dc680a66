"""A base that all tests of preparation share: a tokenizer alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.finetuning.data.making import tokenizer


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of bytes and ChatML."""
    return tokenizer(tmp_path_factory.mktemp("base"))
