"""`llmops policy test` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run

POLICY = "kind: Policy\nname: acme\nsecurity: {pinned: true}\n"
CASE = """
about: A branch can move.
deployment: {name: chat, model: {source: hf://a/b, revision: main}}
expect:
  - {id: security.pinned, severity: block, path: model.revision, policy: acme}
"""
SPEC = "name: chat\nmodel: {source: hf://a/b}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def tested(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        run(["policy", "test", *arguments])
    return int(end.value.code or 0)


def test_a_case_that_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "case.yaml").write_text(CASE)
    assert tested("-f", "policy.yaml", "case.yaml") == 0
    said = capsys.readouterr()
    assert said.out == "ok   case.yaml\n"
    assert said.err == "1 of 1 cases hold\n"


def test_a_policy_that_means_something_else_now_fails_its_case(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "case.yaml").write_text(CASE)
    (here / "policy.yaml").write_text(
        POLICY.replace("pinned: true", "pinned: false, sources: ['s3://*']")
    )
    assert tested("-f", "policy.yaml", "case.yaml") == 3
    said = capsys.readouterr().out
    assert said.startswith("FAIL case.yaml\n")
    assert "expected, and not found: id: security.pinned, severity: block" in said
    assert "found, and not expected: block security.sources at model.source:" in said


def test_the_difference_as_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "case.yaml").write_text("spec: llmops.yaml\nexpect: []\n")
    (here / "llmops.yaml").write_text(SPEC)
    assert tested("-f", "policy.yaml", "case.yaml", "-o", "json") == 3
    (outcome,) = json.loads(capsys.readouterr().out)
    assert (outcome["case"], outcome["passed"], outcome["missing"]) == ("case.yaml", False, [])
    assert [(one["id"], one["policy"]) for one in outcome["surplus"]] == [
        ("security.pinned", "acme")
    ]


def test_a_spec_is_found_from_where_its_case_is(here: Path) -> None:
    (here / "cases" / "deep").mkdir(parents=True)
    (here / "cases" / "llmops.yaml").write_text(SPEC)
    case = "spec: ../llmops.yaml\nexpect: [{id: security.pinned}]\n"
    (here / "cases" / "deep" / "one.yaml").write_text(case)
    assert tested("-f", "policy.yaml", "cases/deep") == 0


def test_everything_that_is_wrong_in_any_case_is_told_with_its_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "one.yaml").write_text("expect: []\n")
    (here / "two.yaml").write_text(CASE.replace("severity: block", "severity: fatal"))
    (here / "three.yaml").write_text("spec: llmops.yaml\nexpect: []\n")
    (here / "llmops.yaml").write_text(SPEC + "colour: red\n")
    assert tested("one.yaml", "two.yaml", "three.yaml") == 2
    said = capsys.readouterr().err
    assert "one.yaml:1:1: expect: expected a deployment or a spec, found neither" in said
    assert "two.yaml:5:" in said
    assert "llmops.yaml:3:1: colour: unknown key" in said
    assert "error: 3 problems" in said


@pytest.mark.parametrize("path", ["empty", "nothing.yaml"])
def test_no_case_is_no_success(here: Path, path: str) -> None:
    (here / "empty").mkdir()
    assert tested("-f", "policy.yaml", path) == 2
