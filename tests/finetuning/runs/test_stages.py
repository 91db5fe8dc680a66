"""What a stage's program leaves of an end before its end, and how the supervisor explains one."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from llmops.errors import BusyError, InputError, LlmopsError, RefusedError, TargetError
from serving.finetune.runs import Named, Stage
from serving.finetune.runs.causes import DISK_FLOOR, explain
from serving.finetune.runs.stages import failed
from serving.finetune.runs.store import read_json

ROOM = DISK_FLOOR + 1
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "kind", "code", "again"),
    [
        (InputError("rows are bad", hint="mend them"), "input", 2, False),
        (RefusedError("it does not fit"), "refused", 3, False),
        (BusyError("another one prepares"), "busy", 3, True),
        (TargetError("the endpoint fails"), "failed", 5, False),
        (LlmopsError("a record is damaged"), "failed", 1, False),
        (FULL, "disk-full", 5, False),
        (ModuleNotFoundError("no", name="peft"), "input", 2, False),
        (KeyError("x"), "unexpected", 1, False),
    ],
)
def test_each_error_of_a_stage_is_put_down_by_kind_and_comes_back_as_a_failure(
    tmp_path: Path, error: Exception, kind: str, code: int, again: bool
) -> None:
    paths = Named(tmp_path, "style").run(1)
    paths.folder.mkdir(parents=True)
    assert failed(paths, error) == code
    found = explain(Stage.DATA, code, read_json(paths.failure), "", ROOM)
    assert (found.kind, found.exit_code, found.again) == (kind, code, again)
    if isinstance(error, LlmopsError):
        assert (found.message, found.hint) == (error.message, error.hint)


def test_a_missing_package_says_what_to_install(tmp_path: Path) -> None:
    paths = Named(tmp_path, "style").run(1)
    paths.folder.mkdir(parents=True)
    failed(paths, ModuleNotFoundError("no", name="peft"))
    said = read_json(paths.failure)
    assert said is not None
    assert "peft" in said["message"]
    assert "llmops[finetune]" in said["hint"]


def test_a_kill_names_its_signal_and_is_worth_another_attempt() -> None:
    found = explain(Stage.TRAINING, -signal.SIGKILL, None, "a line", ROOM)
    assert found.kind == "killed"
    assert "SIGKILL" in found.message
    assert found.again


def test_an_end_without_a_word_on_a_full_disk_is_a_full_disk() -> None:
    found = explain(Stage.TRAINING, 1, None, "a line", DISK_FLOOR - 1)
    assert (found.kind, found.again) == ("disk-full", False)


def test_an_end_without_a_word_shows_the_last_line() -> None:
    assert "a line" in explain(Stage.TRAINING, 1, None, "a line", ROOM).message
    assert "without an outcome" in explain(Stage.TRAINING, 0, None, "", ROOM).message
