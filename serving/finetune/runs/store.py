"""What is known of runs, in their folders: written whole or not at all, and private.

Only who holds the lock of the name writes; whoever looks reads. `LLMOPS_HOME/finetune/<name>` is
0700, and what a run leaves there holds no key: a run is given none but by its environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from llmops.errors import InputError, LlmopsError
from serving.finetune.runs.machine import Observed
from serving.finetune.runs.model import Run, Stage, from_document, to_document
from serving.finetune.runs.paths import Named, RunPaths
from serving.locking import ServiceLock

_CHECKPOINT = re.compile(r"step-(\d{8,})")


def lock(named: Named, purpose: str) -> IO[str]:
    """The locked file of a name: whoever has it open is the only one that works on its runs.

    Raises:
        BusyError: At once, naming the holder and since when.
    """
    named.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    named.folder.mkdir(exist_ok=True, mode=0o700)
    named.folder.chmod(0o700)
    return ServiceLock(named.folder).take(named.name, purpose)


def create(named: Named, spec: Mapping[str, Any], identity: str, revision: str) -> RunPaths:
    """A new run, which appears whole. The lock is held by whoever asks."""
    number = max(named.numbers(), default=0) + 1
    paths = named.run(number)
    begun = named.runs / f"{number}.new"
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True, mode=0o700)
    now = time.time()
    write_json(begun / paths.spec.name, spec)
    run = Run(named.name, number, identity, revision, started=now, updated=now)
    write_json(begun / paths.state.name, to_document(run))
    begun.rename(paths.folder)
    return paths


def read(paths: RunPaths) -> Run:
    """What a run's folder says of it.

    Raises:
        InputError: When there is no such run.
        LlmopsError: When its record is damaged.
    """
    try:
        return from_document(json.loads(paths.state.read_bytes()))
    except FileNotFoundError as error:
        numbers = ", ".join(map(str, paths.named.numbers())) or "none"
        raise InputError(
            f"{paths.named.name} has no run {paths.number}", hint=f"there are: {numbers}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LlmopsError(
            f"the record of a run is damaged: {paths.state}",
            hint=f"move {paths.folder} away, and run again",
        ) from error


def write(paths: RunPaths, run: Run) -> None:
    """Put down how far a run is."""
    write_json(paths.state, to_document(run))


def observe(paths: RunPaths, run: Run) -> Observed:
    """Look at what a run has done."""
    marks = {
        Stage.MODEL: paths.base,
        Stage.DATA: paths.job,
        Stage.TRAINING: paths.result,
        Stage.EVALUATION: paths.gate,
        Stage.ARTEFACT: paths.artefact / "manifest.json",
    }
    gate = read_json(paths.gate)
    return Observed(
        done=frozenset(stage for stage, mark in marks.items() if mark.exists()),
        passed=None if gate is None else bool(gate.get("passed")),
        stop=paths.stop.exists(),
        attempts=run.attempts,
        session=run.session,
        checkpoint=checkpoint(paths),
    )


def checkpoint(paths: RunPaths) -> int:
    """Step of the newest checkpoint; 0 when there is none. One that has its name is whole."""
    try:
        found = [_CHECKPOINT.fullmatch(path.name) for path in paths.checkpoints.iterdir()]
    except OSError:
        return 0
    return max((int(match[1]) for match in found if match), default=0)


def read_json(path: Path) -> dict[str, Any] | None:
    """What a file says; None when it is not there, or says nothing that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a file: after a crash at any instant it is the old one or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
