"""The tutorial, command by command, as its reader types it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import pages
from tests.e2e.stage import DEADLINE, Stage
from tests.support.program import LLMOPS, Done

NAME = "hello"
PORT = "8000"
"""The port that the tutorial shows; the tests have one of their own."""


def _destroy(stage: Stage, name: str) -> None:
    if stage.run("history", name).code == 0:
        done = stage.run("destroy", name, "--yes")
        assert done.code == 0, done.text


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """An empty folder to work in. Whatever the tutorial has deployed is gone afterwards."""
    # Two releases stand side by side during the update: the demo's memory is theirs.
    _destroy(stage, "demo")
    yield tmp_path
    _destroy(stage, NAME)


def _run(stage: Stage, folder: Path, command: str) -> Done:
    """One line in a shell of its own, with the program of this environment on the path."""
    path = f"{LLMOPS.parent}{os.pathsep}{stage.environment.get('PATH', '')}"
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command.replace(PORT, str(stage.port))}"],
        cwd=folder,
        env=stage.environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _follow(stage: Stage, folder: Path) -> list[tuple[str, Done]]:
    """Do what the tutorial says, in its order: write its files, run its marked commands."""
    ran: list[tuple[str, Done]] = []
    for block in pages.blocks(pages.TUTORIAL):
        if block.mark.startswith("file: "):
            path = folder / block.mark.removeprefix("file: ")
            path.write_text(block.text.replace(PORT, str(stage.port)))
        for command in pages.commands(block) if block.mark == "run" else ():
            done = _run(stage, folder, command)
            assert done.code == 0, f"{block}: {command}\n{done.text}"
            ran.append((command, done))
    return ran


@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_does_what_it_says(stage: Stage, folder: Path) -> None:
    ran = _follow(stage, folder)
    [said] = [done for command, done in ran if command.startswith("llmops chat")]
    assert "Paris" in said.out
    deploys = [done for command, done in ran if command.startswith("llmops deploy")]
    assert ["nothing changed" in done.out for done in deploys] == [False, True, False]
    histories = [done for command, done in ran if command.startswith("llmops history")]
    assert "repeats release 1" in histories[-1].out
    assert stage.status(NAME)["releases"] == []
