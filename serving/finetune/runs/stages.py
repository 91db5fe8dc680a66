"""The programs of the stages but the training: `serving.finetune.runs.stages RUN STAGE`.

Each reads what the stages before it left in the run's folder, and leaves its own mark last, by a
rename: killed anywhere and started again it comes to the same. Why one ended before its end lies in
`failure.json`, as the training leaves it.
"""

from __future__ import annotations

import errno
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from llmops.errors import BusyError, InputError, LlmopsError, RefusedError
from serving.finetune.runs import store
from serving.finetune.runs.handed import Tell, spec_of
from serving.finetune.runs.model import Stage
from serving.finetune.runs.paths import RunPaths

T = TypeVar("T")

TELL_SECONDS = 0.5
"""Seconds between two notes of what is being waited for."""


def model(paths: RunPaths, tell: Tell) -> None:
    """Have the base, and check it against its digests."""
    from serving.models import Models

    run, spec = store.read(paths), spec_of(paths)
    models = Models(paths.named.home / "models")
    drained(models.ensure(spec.model.source, run.revision), tell)
    directory = models.verified(spec.model.source, run.revision)
    store.write_json(
        paths.base,
        {"source": spec.model.source, "revision": run.revision, "directory": str(directory)},
    )


def drained(flow: Generator[Any, None, T], tell: Tell) -> T:
    """Run a flow to its end, and note what it waits for."""
    while True:
        try:
            event = next(flow)
        except StopIteration as end:
            result: T = end.value
            return result
        if reason := getattr(event, "reason", ""):
            tell(reason)


class Teller:
    """Notes what is being waited for, where whoever watches the run finds it."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths, self._last = paths, 0.0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last < TELL_SECONDS:
            return
        self._last = now
        print(text, flush=True)  # noqa: T201 - the run's log
        store.write_json(self._paths.waiting, {"reason": text})


def failed(paths: RunPaths, error: BaseException) -> int:
    """Leave why a stage ended before its end; the exit code."""
    if isinstance(error, LlmopsError):
        kind, code = _kind(error), error.exit_code
        said: dict[str, Any] = {"kind": kind, "message": error.message, "hint": error.hint}
        print(f"{kind}: {error.message}", file=sys.stderr, flush=True)  # noqa: T201 - the run's log
    elif isinstance(error, ModuleNotFoundError):
        kind, code = "input", 2
        message = f"fine-tuning needs the package {error.name}, which is not installed"
        said = {"kind": kind, "message": message, "hint": "pip install 'llmops[finetune]'"}
    else:
        traceback.print_exception(error)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind, code = ("disk-full" if full else "unexpected"), (5 if full else 1)
        said = {"kind": kind, "message": f"{type(error).__name__}: {error}"[:600]}
    try:
        store.write_json(paths.failure, said | {"exit_code": code})
    except OSError as problem:  # the disk is full: the supervisor sees that as well
        print(f"the reason could not be put down: {problem}", file=sys.stderr)  # noqa: T201
    return code


def _kind(error: LlmopsError) -> str:
    if isinstance(error, BusyError):
        return "busy"
    if isinstance(error, RefusedError):
        return "refused"
    return "input" if isinstance(error, InputError) else "failed"


def programs() -> dict[Stage, Callable[[RunPaths, Tell], None]]:
    """What does each stage."""
    from serving.finetune.runs.judging import evaluation
    from serving.finetune.runs.keeping import artefact
    from serving.finetune.runs.preparing import data

    return {
        Stage.MODEL: model,
        Stage.DATA: data,
        Stage.EVALUATION: evaluation,
        Stage.ARTEFACT: artefact,
    }


def main() -> None:
    """Do the stage that is named, for the run in the folder that is named."""
    paths, stage = RunPaths.of(Path(sys.argv[1])), Stage(sys.argv[2])
    try:
        programs()[stage](paths, Teller(paths))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run's record names it
        sys.exit(failed(paths, error))


if __name__ == "__main__":
    main()
