"""Serve can tell where its lines go, also where an engine has set up logging anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from pathlib import Path

import pytest
from ray.serve._private.constants import SERVE_LOGGER_NAME
from ray.serve._private.logging_utils import get_component_logger_file_path

from serving.runtime import serve_logs


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where a logger writes that is set up as Serve's in a replica."""
    path = tmp_path / "logs" / "serve" / "replica.log"
    path.parent.mkdir(parents=True)
    target = logging.FileHandler(path)
    handler = MemoryHandler(100, target=target)
    logger = logging.getLogger(SERVE_LOGGER_NAME)
    before, logger.handlers = logger.handlers, [handler]
    yield path
    logger.handlers = before
    target.close()


def test_a_controller_that_comes_back_learns_where_a_replica_writes(file: Path) -> None:
    logger = logging.getLogger(SERVE_LOGGER_NAME)
    [gathering] = [one for one in logger.handlers if isinstance(one, MemoryHandler)]
    with serve_logs.kept():
        gathering.close()  # as `dictConfig` does to every handler of the process
        with pytest.raises(AttributeError):
            get_component_logger_file_path()
    assert isinstance(gathering.target, logging.FileHandler)
    assert gathering.target.baseFilename == str(file)
    assert serve_logs.SERVE == SERVE_LOGGER_NAME
    logger.error("a line")
    assert "a line" in file.read_text()
