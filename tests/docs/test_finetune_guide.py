"""The guide to fine-tuning as far as it needs no engine: its example, its commands, its keys."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from cli.init import DEMO
from llmops.finetuning import read_finetune
from llmops.spec import load
from tests.docs import guide, pages
from tests.docs.pages import ROOT

GUIDE = ROOT / "docs" / "finetune.md"
EXAMPLE = ROOT / "examples" / "finetune"
STEPS = guide.steps(GUIDE)
COMMANDS = [step.command for step in STEPS if step.command]


def _asked(name: str) -> list[str]:
    lines = (EXAMPLE / "data" / name).read_text().splitlines()
    return [json.loads(line)["messages"][0]["content"] for line in lines]


def test_the_example_and_what_is_laid_over_it_are_read_without_a_mistake() -> None:
    spec = read_finetune([EXAMPLE / "finetune.yaml"]).value
    worse = read_finetune([EXAMPLE / "finetune.yaml", EXAMPLE / "worse.yaml"]).value
    assert spec.name == worse.name
    assert spec.training != worse.training
    assert spec.training.workers == 2


def test_no_message_of_the_exam_is_learnt_from() -> None:
    assert not set(_asked("exam.jsonl")) & set(_asked("train.jsonl"))
    assert len(_asked("exam.jsonl")) >= 20, "a gate wants 20 items"


def test_its_service_serves_the_base_that_is_trained_and_has_room_for_its_adapter(
    tmp_path: Path,
) -> None:
    [block] = [block for block in pages.blocks(GUIDE) if block.mark == "file: support.yaml"]
    path = tmp_path / "support.yaml"
    path.write_text(block.text)
    service, spec = load([path]), read_finetune([EXAMPLE / "finetune.yaml"]).value
    assert service.model.source == spec.model.source == DEMO
    assert spec.method.kind != "full"
    assert service.engine.adapter_rank == spec.method.rank


def test_what_it_shows_of_the_example_is_in_it() -> None:
    [shown] = [b for b in pages.blocks(GUIDE) if b.language == "yaml" and not b.mark]
    whole = yaml.safe_load((EXAMPLE / "finetune.yaml").read_text())
    assert yaml.safe_load(shown.text)["eval"] == whole["eval"]


def test_every_console_block_is_run_or_says_why_not() -> None:
    for block in pages.blocks(GUIDE):
        if block.language == "console":
            assert block.mark.startswith(("run", "not run: ")), block


def test_every_command_that_would_ask_is_told_yes() -> None:
    changing = ("deploy", "destroy", "finetune run", "finetune promote")
    for command in COMMANDS:
        if command.removeprefix("llmops ").startswith(changing):
            assert "--yes" in command.split(), f"{command} would ask"


def test_the_worse_run_is_refused_and_so_is_its_promotion() -> None:
    refused = [step.command for step in STEPS if step.code == 3]
    assert len(refused) == 2
    assert "worse.yaml" in refused[0]
    assert "promote triage/2" in refused[1]
