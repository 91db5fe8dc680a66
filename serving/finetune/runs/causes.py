"""Why a stage's program ended before its end, said so that a person can act on it. Pure.

A program says it itself, in `failure.json`; one that was killed cannot, and one that nobody
foresaw has only its log.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from serving.finetune.runs.model import Failure, Stage

AGAIN = frozenset({"busy", "killed", "stopped", "worker-lost"})
"""Kinds of failure that may be over in another attempt: nothing of the run itself is to blame."""

DISK_FLOOR = 16 * 2**20
"""Bytes: with less of it free, a program that ended without a word ended for want of disk."""


def explain(
    stage: Stage, code: int, said: Mapping[str, Any] | None, last_line: str, disk_free: int
) -> Failure:
    """Why an attempt ended.

    Args:
        stage: What was done.
        code: How its program ended, as `subprocess` has it: below 0, a signal.
        said: What its `failure.json` holds; None where it has left none.
        last_line: The last that it printed.
        disk_free: Bytes that are free where the run lies.
    """
    if said is not None:
        return _as_said(said, code)
    if disk_free < DISK_FLOOR:
        return Failure(
            "disk-full",
            f"{stage.value} ended, and the disk is full",
            hint="free some space, and then: llmops finetune resume",
        )
    if code < 0:
        return _killed(stage, -code)
    told = f": {last_line}" if last_line else ""
    what = f"with code {code}" if code else "without an outcome"
    return Failure(
        "unexpected",
        f"{stage.value} ended {what}{told}",
        hint="llmops finetune logs shows what it printed",
    )


def _as_said(said: Mapping[str, Any], code: int) -> Failure:
    kind = str(said.get("kind", "unexpected"))
    found = said.get("exit_code", code)
    return Failure(
        kind=kind,
        message=str(said.get("message", "")) or kind,
        hint=str(said.get("hint", "")),
        exit_code=found if isinstance(found, int) and found > 0 else 5,
        step=int(said.get("step", 0)),
        sources=tuple(str(one) for one in said.get("sources", ())),
        again=kind in AGAIN,
    )


def _killed(stage: Stage, number: int) -> Failure:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    because = ", as the kernel does where memory runs out" if number == signal.SIGKILL else ""
    return Failure(
        "killed",
        f"{stage.value} was killed by {name}{because}",
        hint="llmops finetune resume goes on from the last checkpoint"
        if stage is Stage.TRAINING
        else "",
        again=True,
    )
