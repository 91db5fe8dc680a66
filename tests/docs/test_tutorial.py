"""The tutorial as far as it needs no engine: its files load, its commands run unasked."""

from __future__ import annotations

from pathlib import Path

import yaml

from cli.init import DEMO
from llmops.spec import LocalTarget, load, starter
from tests.docs import pages

BLOCKS = pages.blocks(pages.TUTORIAL)
COMMANDS = [c for block in BLOCKS if block.mark == "run" for c in pages.commands(block)]
CHANGING = ("deploy", "rollback", "destroy")


def test_its_files_overlay_what_init_writes(tmp_path: Path) -> None:
    first = tmp_path / "llmops.yaml"
    first.write_text(starter("hello", DEMO))
    [block] = [block for block in BLOCKS if block.mark == "file: machine.yaml"]
    second = tmp_path / "machine.yaml"
    second.write_text(block.text)
    deployment = load([first, second])
    assert deployment.name == "hello"
    assert isinstance(deployment.target, LocalTarget)
    assert deployment.target.port == yaml.safe_load(block.text)["target"]["port"] == 8000
    assert deployment.model.context == 1024


def test_every_command_that_changes_something_needs_no_answer() -> None:
    for command in COMMANDS:
        words = command.split()
        if words[0] == "llmops" and words[1] in CHANGING:
            assert "--yes" in words, f"{command} would ask"


def test_it_begins_with_init_ends_with_destroy_and_starts_the_engine_three_times() -> None:
    assert COMMANDS[0] == "llmops init hello"
    assert COMMANDS[-1] == "llmops destroy hello --yes"
    starts = [c for c in COMMANDS if c.startswith(("llmops deploy", "llmops rollback"))]
    assert len(starts) == 4, "three releases, and a deploy that changes nothing"


def test_every_console_block_of_it_is_run_but_the_path() -> None:
    shown = [b for b in BLOCKS if b.language == "console" and b.mark != "run"]
    assert [pages.commands(block) for block in shown] == [['export PATH="$PWD/.venv/bin:$PATH"']]
