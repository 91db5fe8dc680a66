"""A disk that is full, has no inode left or is read-only: what is there stays, and it is told why.

The disk is a real one (`small_disk`), and what is written to it is what llmops writes
(`disk_victims`). That of models is in `tests/models/test_disk.py`, that of trainings in
`tests/finetuning/runs/test_stages.py`.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

from cli import app
from tests.chaos.disk_victims import LINES, VICTIMS
from tests.chaos.small_disk import FAULTS, on_a_small_disk

SAID = {
    "full": ("the disk is full", "No space left on device"),
    "inodes": ("the disk is full", "No space left on device"),
    "read-only": ("the disk is read-only", "Read-only file system"),
}

OPEN = ("full", "inodes")
"""Faults that a disk can have while a gateway writes to it."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What has become of everything under every fault."""
    return on_a_small_disk(tmp_path_factory.mktemp("small") / "disk", "tests.chaos.disk_victims")


@pytest.mark.parametrize("name", VICTIMS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_there_stays_and_the_next_writing_goes_on(
    found: Any, fault: str, name: str
) -> None:
    seen = found[fault][name]
    assert (seen["during"], seen["after"]) == (1, 2), seen
    assert any(said in seen["told"] for said in SAID[fault]), seen
    assert "hint: " in seen["told"], "nobody is told what to do"


def test_a_gateway_that_may_not_count_does_not_start_and_says_why(found: Any) -> None:
    seen = found["read-only"]["what keys use"]
    assert seen["told"].startswith("what keys use cannot be counted: "), seen


@pytest.mark.parametrize("fault", OPEN)
def test_a_gateway_serves_on_and_counts_the_lines_that_are_lost(found: Any, fault: str) -> None:
    seen = found[fault]["audit"]
    assert seen["statuses"] == [200] * (LINES + 2)
    lost = seen["lost"]
    assert seen["faults"] == [], "a full disk is taken for somebody who changes the log"
    assert seen["told"] == seen["metric"] == lost, "the next line does not say how many"
    assert seen["written"] == LINES + 2 - lost
    assert bool(lost) == (fault == "full"), "the log that is open needs no inode"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gateway_starts_without_its_log_and_has_it_once_there_is_room(
    found: Any, fault: str
) -> None:
    assert found[fault]["audit begun"] == {"faults": [], "told": 1, "last": 1}


@pytest.mark.parametrize("fault", OPEN)
def test_a_log_that_cannot_be_turned_over_stays_whole(found: Any, fault: str) -> None:
    seen = found[fault]["audit turned"]
    assert seen["faults"] == []
    assert seen["told"] == seen["lost"] > 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "the disk is full: /x"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "the disk is read-only: /x"),
        (OSError(errno.EMFILE, "Too many open files"), "this process has no file descriptor left"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "this user may not use it: /x"),
        (MemoryError(), "there is no memory left"),
    ],
    ids=["full", "read-only", "descriptors", "permission", "memory"],
)
def test_what_has_run_out_is_told_as_that_and_not_as_a_fault_of_llmops(
    capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    assert app._report(error) == 1
    told = capsys.readouterr().err
    assert f"error: {said}" in told
    assert "hint: " in told
    assert "fault of llmops" not in told
