"""`llmops finetune data`, as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.finetuning.data.making import lines, talk, tokenizer
from tests.support.program import LLMOPS
from tests.support.tiny_model import make_tiny_model

SPEC = """\
kind: FineTune
name: talks
model: {{source: "file://{base}"}}
data:
  train: [{{source: rows.jsonl}}]
  split: 0.3
  personal_data: keep
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a spec, its rows and its base."""
    make_tiny_model(tmp_path / "base", layers=1)
    tokenizer(tmp_path / "base")
    lines(tmp_path / "rows.jsonl", [talk(f"{at * 7919}?", f"It is {at}.") for at in range(30)])
    (tmp_path / "finetune.yaml").write_text(SPEC.format(base=tmp_path / "base"))
    return tmp_path


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LLMOPS), "finetune", "data", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=folder,
        env=os.environ | {"LLMOPS_HOME": str(folder / "home")},
    )


def test_data_is_prepared_once_and_found_again(folder: Path) -> None:
    first = typed(folder, "-o", "json")
    assert first.returncode == 0, first.stderr
    made = json.loads(first.stdout)
    assert made["fresh"] is True
    assert made["train"]["rows"] + made["eval"]["rows"] == 30
    assert Path(made["folder"]).parent == folder / "home/finetune/talks/data"
    assert Path(made["report"]).is_file()
    again = typed(folder, "-f", str(folder / "finetune.yaml"))
    assert again.returncode == 0, again.stderr
    assert "already prepared: nothing changed" in again.stderr
    assert again.stdout.splitlines()[0].split() == [
        "STEP", "BEFORE", "AFTER", "REMOVED", "CHANGED", "WHY",
    ]  # fmt: skip


def test_bad_rows_are_named_at_the_spec_s_field_or_skipped(folder: Path) -> None:
    with (folder / "rows.jsonl").open("a") as file:
        file.write('{"messages": \n')
    failed = typed(folder)
    assert failed.returncode == 2
    assert "1 of 31 rows are bad" in failed.stderr
    assert "rows.jsonl:31:14: not JSON" in failed.stderr
    assert "--on-bad skip" in failed.stderr
    assert "Traceback" not in failed.stderr
    skipped = typed(folder, "--on-bad", "skip", "-o", "json")
    assert skipped.returncode == 0, skipped.stderr
    assert json.loads(skipped.stdout)["steps"][0]["removed"] == 1


def test_a_source_that_is_not_there_is_told_at_its_line(folder: Path) -> None:
    (folder / "rows.jsonl").unlink()
    failed = typed(folder)
    assert failed.returncode == 2
    assert "finetune.yaml:5:" in failed.stderr
    assert "data.train[0].source" in failed.stderr
