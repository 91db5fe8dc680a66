"""The guide to policies, command by command, as its reader types it, on the real runtime.

Its window is moved to a day that is not near, so that it is closed whenever the test runs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llmops.windows import DAYS
from tests.docs import guide
from tests.docs.guide import POLICIES, Step
from tests.e2e.stage import DEADLINE, Stage, free_port
from tests.support.program import LLMOPS

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

PORT = "8000"
"""The port that the guide shows; the tests have one of their own."""
WINDOW = "Sun 02:00-04:00"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A home and a runtime of its own: the guide scales to nothing, and audits all that listens."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    made = Stage(home, tmp_path / "folder", free_port())
    made.folder.mkdir()
    yield made
    made.end()


def _meant(stage: Stage, text: str) -> str:
    """A text of the page as it is meant here."""
    day = DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]
    return text.replace(PORT, str(stage.port)).replace(WINDOW, f"{day} 02:00-04:00")


def _run(stage: Stage, command: str) -> tuple[int, str]:
    """One line in a shell, in the guide's folder; its code, and what a terminal would show."""
    path = f"{LLMOPS.parent}{os.pathsep}{stage.environment.get('PATH', '')}"
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {_meant(stage, command)}"],
        cwd=stage.folder,
        env=stage.environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout


def _do(stage: Stage, step: Step) -> None:
    if step.name:
        (stage.folder / step.name).write_text(_meant(stage, step.block.text))
        return
    print(f"$ {step.command}", flush=True)
    code, printed = _run(stage, step.command)
    print(printed, flush=True)
    assert code == step.code, f"{step.block}: {step.command}\nended with {code}:\n{printed}"
    expected = tuple(_meant(stage, line) for line in step.prints)
    absent = guide.missing(expected, printed)
    assert not absent, f"{step.block}: {step.command}\ndoes not print: {absent}\nbut:\n{printed}"


def test_every_command_of_the_guide_does_what_it_says(stage: Stage) -> None:
    for step in guide.steps(POLICIES):
        _do(stage, step)
