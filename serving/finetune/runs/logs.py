"""The log of a run: what its supervisor and the programs of its stages have printed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from serving.finetune.runs import store
from serving.finetune.runs.paths import RunPaths
from serving.finetune.runs.view import alive

POLL = 0.2


def log_lines(paths: RunPaths, *, follow: bool = False, from_end: bool = False) -> Iterator[str]:
    """The log's lines without their ends.

    Args:
        paths: The run's.
        follow: Whether to wait for more, until the run has ended or nobody is at work on it.
        from_end: Whether to pass over what is there already.
    """
    if not paths.log.exists():
        return
    with paths.log.open(encoding="utf-8", errors="replace") as file:
        if from_end:
            file.seek(0, os.SEEK_END)
        waiting, over = "", not follow
        while True:
            text = file.readline()
            waiting += text
            if text.endswith("\n"):
                yield waiting.rstrip("\n")
                waiting = ""
            elif over:
                break
            else:
                run = store.read(paths)
                # What was written before that look is read, and no more.
                over = run.state.ended or not alive(run)
                time.sleep(0 if over else POLL)
    if waiting:
        yield waiting
