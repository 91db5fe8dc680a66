"""Why a training ended before its end: a kind that programs know, and words for a person.

The first reason that is written stays: what follows from it (a worker that was ended because
another had failed) would hide it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from llmops.errors import TargetError

NAME = "failure.json"


class Kind(StrEnum):
    """What went wrong."""

    INPUT = "input"
    """The job, the base or the data is not what it must be; nothing was trained."""
    REFUSED = "refused"
    """It asks for what this machine or this release does not offer."""
    BUSY = "busy"
    """Another process trains in the same folder."""
    DISK_FULL = "disk-full"
    NOT_FINITE = "not-finite"
    """The loss or the gradients are not numbers any more."""
    DIVERGED = "diverged"
    """The loss is worse than that of guessing."""
    OUT_OF_MEMORY = "out-of-memory"
    WORKER_LOST = "worker-lost"
    """Workers ended without a reason of their own, more often than is tried again."""
    STOPPED = "stopped"
    """It was told to stop; a checkpoint was written."""
    UNEXPECTED = "unexpected"


EXIT = {Kind.INPUT: 2, Kind.REFUSED: 3, Kind.BUSY: 3, Kind.STOPPED: 130}
"""Exit codes; 5 for every other kind: it failed, and nothing of it serves."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What `failure.json` holds."""

    kind: Kind
    message: str
    hint: str = ""
    step: int = 0
    """Steps that were finished."""
    sources: tuple[str, ...] = ()
    """Of a bad loss: the rows of the step's batch, as `file:line`."""

    @property
    def exit_code(self) -> int:
        return EXIT.get(self.kind, 5)

    def write(self, folder: Path) -> None:
        """Leave it in a run's folder, unless a reason is there already."""
        own = folder / f"{NAME}.{os.getpid()}"
        try:
            own.write_text(json.dumps(asdict(self), indent=1) + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(own, folder / NAME)
        except OSError:
            return  # a full disk holds no reason: the process that waits names it from the error
        finally:
            own.unlink(missing_ok=True)


class TrainingError(TargetError):
    """A training ended before its end, for the reason in `failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.failure = failure
        self.exit_code = failure.exit_code

    def __reduce__(self) -> tuple[type[TrainingError], tuple[Failure]]:
        """It crosses from a worker's process to the driver's."""
        return type(self), (self.failure,)


def read_failure(folder: Path) -> Failure | None:
    """What a run's folder says; None when it says nothing that can be read."""
    try:
        found = json.loads((folder / NAME).read_text())
        found["sources"] = tuple(found.get("sources", ()))
        return Failure(**{**found, "kind": Kind(found["kind"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def disk_watched(folder: Path, step: int) -> Iterator[None]:
    """Name a full disk, whichever library met it; any other error stays what it is.

    Args:
        folder: The run's.
        step: Steps that were finished.

    Raises:
        TrainingError: When the disk is full.
    """
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:  # torch, safetensors and Python each say it in another way
        if not disk_full(error, folder):
            raise
        free = shutil.disk_usage(folder).free
        message = (
            f"{folder}: the disk is full ({free} bytes are free) after step {step};"
            " the checkpoints that were kept are whole"
        )
        hint = "make room, or keep fewer checkpoints, and run the same job again"
        raise TrainingError(Failure(Kind.DISK_FULL, message, hint=hint, step=step)) from error


def disk_full(error: Exception, folder: Path) -> bool:
    """Whether an error is about a full disk.

    PyTorch's writer says only that it failed, so what is free is looked at too.
    """
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = str(error)
    if "No space left" in words:
        return True
    unsaid = "writing file" in words or "enforce fail" in words
    return unsaid and shutil.disk_usage(folder).free < LITTLE


LITTLE = 2**22
"""Bytes with which a disk counts as full when a writer failed without saying why."""
