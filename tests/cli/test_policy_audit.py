"""`llmops policy audit`: how what was found is printed, and how the program ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import serving.auditing
from cli.app import run
from llmops.events import Flow, Progress
from llmops.policies import Finding, Severity
from serving.auditing import Report, unchecked

OPEN = Finding(
    "audit.files", Severity.BLOCK, "", "keys.json is open to others",
    "mode 0644\nuser 1000", "chmod 600 keys.json",
)  # fmt: skip
TOLD = Finding("audit.banner", Severity.WARN, "", "answers name the server", "server: x", "")
UNKNOWN = unchecked("the clock", "it has none")


class Shell:
    """The program in this process, whose audit finds what it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: Any) -> None:
        self._capture = capture
        self.asked: dict[str, Any] = {}
        self.report = Report(40, ())
        patch.setattr(serving.auditing, "audit_here", self._audit)

    def _audit(self, target: Any, service: str, **options: Any) -> Flow[Report]:
        self.asked = {"service": service, **options}
        yield Progress("audit", "looking at files", 0.0)
        return self.report

    def __call__(self, *arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            run(["policy", "audit", "chat", *arguments])
        code = end.value.code
        return (code if isinstance(code, int) else 0), self._capture.readouterr().out


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys)


def test_a_clean_audit_ends_with_zero_and_counts_its_checks(shell: Shell) -> None:
    assert shell() == (0, "chat: 40 checks, 0 findings\n")


def test_a_blocking_finding_ends_with_three_and_shows_all_of_its_proof(shell: Shell) -> None:
    shell.report = Report(39, (OPEN, TOLD, UNKNOWN))
    code, out = shell("--only", "files", "--outside", "https://llm.example.com/v1")
    assert code == 3
    assert shell.asked == {
        "service": "chat", "url": "https://llm.example.com/v1", "only": ["files"]
    }  # fmt: skip
    assert out == (
        "block: audit.files: keys.json is open to others\n"
        "    proof: mode 0644\n"
        "    proof: user 1000\n"
        "    fix: chmod 600 keys.json\n"
        "warn: audit.banner: answers name the server\n"
        "    proof: server: x\n"
        "info: audit.unchecked: not checked: the clock\n"
        "    proof: it has none\n"
        "chat: 39 checks, 2 findings, 1 thing not checked\n"
    )


def test_what_only_warns_ends_with_zero(shell: Shell) -> None:
    shell.report = Report(40, (TOLD,))
    assert shell()[0] == 0


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_data_keeps_what_was_found_apart_from_what_was_not_checked(
    shell: Shell, form: str, read: Any
) -> None:
    shell.report = Report(39, (OPEN, UNKNOWN))
    document = read(shell("-o", form)[1])
    assert (document["name"], document["blocks"], document["checks"]) == ("chat", True, 39)
    assert [one["id"] for one in document["findings"]] == ["audit.files"]
    assert [one["id"] for one in document["unchecked"]] == ["audit.unchecked"]


def test_sarif_explains_the_audits_own_ids(shell: Shell) -> None:
    shell.report = Report(39, (OPEN,))
    log = json.loads(shell("-o", "sarif")[1])
    [rule] = log["runs"][0]["tool"]["driver"]["rules"]
    assert rule["id"] == "audit.files"
    assert "open to other users" in rule["shortDescription"]["text"]
