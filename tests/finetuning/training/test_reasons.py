"""Why a training ended: named by kind, the first reason kept, the exit code by it."""

from __future__ import annotations

import errno
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from serving.finetune.training import Failure, Kind, driver, read_failure
from serving.finetune.training.failure import TrainingError, disk_full, disk_watched
from serving.finetune.training.watch import SPAN, Watch

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil has it


def test_the_first_reason_stays(tmp_path: Path) -> None:
    first = Failure(Kind.DISK_FULL, "full", hint="make room", step=3, sources=("a:1",))
    first.write(tmp_path)
    Failure(Kind.WORKER_LOST, "lost").write(tmp_path)
    assert read_failure(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["failure.json"]


@pytest.mark.parametrize(("kind", "code"), [(Kind.STOPPED, 130), (Kind.REFUSED, 3), (Kind.INPUT, 2),
                                            (Kind.BUSY, 3), (Kind.DIVERGED, 5)])  # fmt: skip
def test_kinds_have_the_exit_codes_of_the_house(kind: Kind, code: int) -> None:
    assert Failure(kind, "x").exit_code == code
    assert TrainingError(Failure(kind, "x")).exit_code == code


def test_a_reason_crosses_from_process_to_process() -> None:
    error = TrainingError(Failure(Kind.NOT_FINITE, "the loss is nan", step=4))
    again = pickle.loads(pickle.dumps(error))
    assert again.failure == error.failure


class Group(Exception):
    """As Ray Train's."""

    def __init__(self, failures: dict[int, Exception]) -> None:
        super().__init__("workers failed")
        self.worker_failures = failures


def named(name: str) -> Exception:
    made: Exception = type(name, (Exception,), {})("it died")
    return made


@pytest.mark.parametrize(
    ("failures", "kills", "kind"),
    [
        ({0: named("ActorDiedError")}, 0, Kind.WORKER_LOST),
        ({0: named("ActorDiedError")}, 1, Kind.OUT_OF_MEMORY),
        ({1: named("OutOfMemoryError")}, 0, Kind.OUT_OF_MEMORY),
        ({0: named("ActorDiedError"), 1: TrainingError(Failure(Kind.DISK_FULL, "full"))}, 0,
         Kind.DISK_FULL),
        ({0: ValueError("what is this")}, 0, Kind.UNEXPECTED),
    ],
)  # fmt: skip
def test_what_ended_the_workers_is_named(
    failures: dict[int, Exception], kills: int, kind: Kind
) -> None:
    assert driver.classify(Group(failures), kills).kind is kind


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError(
            "[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file"
        ),
    ],
)
def test_a_full_disk_is_named_whatever_found_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 0))
    with pytest.raises(TrainingError) as found, disk_watched(tmp_path, 5):
        raise error
    assert (found.value.failure.kind, found.value.failure.step) == (Kind.DISK_FULL, 5)


def test_another_error_of_writing_stays_what_it_is(tmp_path: Path) -> None:
    error = RuntimeError("Connection closed by peer")
    assert not disk_full(error, tmp_path)
    with pytest.raises(RuntimeError, match="Connection"), disk_watched(tmp_path, 5):
        raise error


def test_a_loss_that_climbs_past_guessing_is_a_divergence() -> None:
    watch = Watch(vocabulary=320)
    assert not any(watch.diverged(5.7 - 0.1 * step) for step in range(20))
    told = [watch.diverged(20.0) for _ in range(SPAN)]
    assert told[-1]
    assert "guessing" in told[-1]


def test_one_bad_batch_is_no_divergence() -> None:
    watch = Watch(vocabulary=320)
    losses = [3.0] * 20 + [30.0] + [3.0] * 20
    assert not any(watch.diverged(loss) for loss in losses)


def test_a_base_that_starts_badly_may_learn() -> None:
    watch = Watch(vocabulary=320)
    assert not any(watch.diverged(18.0 - 0.1 * step) for step in range(60))
