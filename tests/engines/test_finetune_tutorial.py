"""The guide to fine-tuning, command by command, on real engines: data, training, gate, endpoint.

One run of the demo's model with LoRA on two workers, which beats its base; one that is refused. It
takes about five minutes on two quiet cores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import guide, pages
from tests.docs.pages import ROOT
from tests.e2e.stage import Stage, free_port
from tests.support.program import LLMOPS, Done

GUIDE = ROOT / "docs" / "finetune.md"
PORT = "8000"
DEADLINE = 2400.0
"""Seconds that one command may take: a run has six programs, and the machine may be busy."""

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(5400)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    home, folder = tmp_path / "home", tmp_path / "triage"
    home.mkdir(mode=0o700)
    shutil.copytree(ROOT / "examples" / "finetune", folder)
    made = Stage(home, folder, free_port())
    yield made
    made.end()


def _run(stage: Stage, command: str) -> Done:
    path = f"{LLMOPS.parent}{os.pathsep}{stage.environment.get('PATH', '')}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=stage.folder,
        env=stage.environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _follow(stage: Stage) -> list[tuple[str, Done]]:
    """Do what the guide says, in its order."""
    texts = {b.mark: b.text for b in pages.blocks(GUIDE) if b.mark.startswith("file: ")}
    ran: list[tuple[str, Done]] = []
    for step in guide.steps(GUIDE):
        if step.name:
            text = texts[f"file: {step.name}"].replace(PORT, str(stage.port))
            (stage.folder / step.name).write_text(text)
            continue
        done = _run(stage, step.command)
        assert done.code == step.code, f"{step.block}: {step.command}\n{done.text}"
        ran.append((step.command, done))
    return ran


def test_every_command_of_the_guide_does_what_it_says(stage: Stage) -> None:
    ran = _follow(stage)
    before, after = (done.out for command, done in ran if command.startswith("llmops chat"))
    assert "[billing] today" not in before
    assert "[billing] today" in after
    first, again, worse = (
        done for command, done in ran if command.startswith("llmops finetune run")
    )
    assert "triage: run 1 has succeeded" in first.out
    assert "nothing changed since run 1" in again.err
    assert "triage: run 2 is refused by its gate" in worse.out
    runs = stage.home / "finetune" / "triage" / "runs"
    assert sorted(path.name for path in runs.iterdir()) == ["1", "2"]
    verdicts = [json.loads((runs / n / "gate.json").read_text()) for n in ("1", "2")]
    assert [found["passed"] for found in verdicts] == [True, False]
    gained = verdicts[0]["verdicts"][0]["comparison"]
    assert gained is not None, "it was not compared with the base"
    lineage = json.loads((runs / "1" / "artefact" / "lineage.json").read_text())
    assert lineage["gate"]["outcome"] == "passed"
