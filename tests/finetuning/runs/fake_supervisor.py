"""The true supervisor, with a fake program for each stage."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from serving.finetune.runs import supervisor
from serving.finetune.runs.model import Stage
from serving.finetune.runs.paths import RunPaths

FAKE = Path(__file__).with_name("fake_program.py")


def commands(paths: RunPaths, stage: Stage) -> Sequence[str]:
    return [sys.executable, "-S", str(FAKE), str(paths.folder), stage.value]


if __name__ == "__main__":
    supervisor.main(commands)
