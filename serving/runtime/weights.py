"""The weights of a run on this machine: fetched where it has a disk of its own, and verified."""

from __future__ import annotations

import logging
from pathlib import Path

from llmops.events import Progress
from serving.engines import EngineRun
from serving.models import Models
from serving.runtime.paths import RuntimePaths

log = logging.getLogger("llmops.replica")


def weights(paths: RuntimePaths, run: EngineRun, *, fetch: bool) -> Path:
    """The folder of a run's weights, every byte of them checked.

    Args:
        paths: Of this machine's home.
        run: Whose weights.
        fetch: Whether they are fetched where they are not there. That tells of itself several times
            a second: what is new of it is logged.

    Raises:
        LlmopsError: When they are missing or damaged, or cannot be fetched.
    """
    models = Models(paths.models)
    logged = ""
    for moment in models.ensure(run.source, run.revision) if fetch else ():
        if isinstance(moment, Progress):
            percent = f" {moment.percent:.0f} %" if moment.percent is not None else ""
            if (text := f"{moment.reason}{percent}") != logged:
                log.info("fetching weights: %s", text)
            logged = text
    return models.verified(run.source, run.revision)
