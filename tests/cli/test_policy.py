"""`llmops policy` as a user runs it, with a home of its own and no engine."""

from __future__ import annotations

import io
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.app import run
from llmops.policies import Shelf
from serving.local.policies import FilePolicyStore

ACME = """\
# What holds for everybody.
kind: Policy
name: acme
security:
  sources: ['pkg://*']
  limits: {requests_per_minute: 120, max_tokens: 2048}
rules:
  - {id: no-half, that: "deployment.engine.dtype != 'float16'", message: it overflows,
     path: engine.dtype}
"""
TEAM = """\
kind: Policy
name: team
layer: project
security: {limits: {requests_per_minute: 60}}
"""
SPEC = "name: chat\nmodel: {source: 'pkg://m/f.gguf'}\n"
GREEDY = SPEC + "engine: {dtype: float16}\nsecurity: {requests_per_minute: 200}\n"


@dataclass
class Shell:
    """The program, run in this process."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def __call__(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            run(["policy", *arguments])
        self.out, self.err = self.capture.readouterr()
        code = end.value.code
        return code if isinstance(code, int) else 0

    def data(self, *arguments: str) -> Any:
        assert self(*arguments, "-o", "json") == 0, self.err
        return json.loads(self.out)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    @property
    def shelf(self) -> Shelf:
        return FilePolicyStore(self.folder / "home").read()[0]


@pytest.fixture
def policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Shell(tmp_path, capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def applied(policy: Shell) -> Shell:
    policy.write("acme.yaml", ACME)
    policy.write("team.yaml", TEAM)
    assert policy("apply", "-f", "acme.yaml", "-f", "team.yaml", "--yes") == 0, policy.err
    return policy


def test_policies_alone_are_checked(policy: Shell) -> None:
    policy.write("acme.yaml", ACME)
    assert policy("check", "-f", "acme.yaml") == 0
    assert policy.out == "valid: Policy acme, of the organisation\n"
    assert policy.data("check", "-f", "acme.yaml")[0]["name"] == "acme"


def test_a_wrong_policy_is_told_by_line_and_nothing_is_applied(policy: Shell) -> None:
    policy.write("acme.yaml", ACME.replace("max_tokens", "max_token"))
    for verb in ("check", "apply"):
        assert policy(verb, "-f", "acme.yaml", *(["--yes"] if verb == "apply" else [])) == 2
        assert "acme.yaml:6:38: security.limits.max_token: unknown key" in policy.err
        assert "did you mean 'max_tokens'?" in policy.err
    assert policy.shelf == Shelf()


def test_a_spec_that_the_policies_allow_passes_and_shows_what_they_set(policy: Shell) -> None:
    policy.write("acme.yaml", ACME)
    policy.write("spec.yaml", SPEC)
    assert policy("check", "-f", "acme.yaml", "-s", "spec.yaml") == 0
    assert "set: security.requests_per_minute: 120 (default: 600), by acme" in policy.out
    assert "chat: allowed" in policy.out


def test_a_spec_that_they_refuse_ends_with_3_and_names_each_line(policy: Shell) -> None:
    policy.write("acme.yaml", ACME)
    policy.write("spec.yaml", GREEDY)
    assert policy("check", "-f", "acme.yaml", "-s", "spec.yaml") == 3
    lines = policy.out.splitlines()
    assert any(
        line.startswith("spec.yaml:4:33: block: security.limits.requests_per_minute (acme")
        for line in lines
    )
    assert any(line.startswith("spec.yaml:3:17: block: rules.no-half (acme") for line in lines)
    assert lines[-1].startswith("chat: refused by 2")


def test_findings_are_printed_as_data_and_as_sarif(policy: Shell) -> None:
    policy.write("acme.yaml", ACME)
    policy.write("spec.yaml", GREEDY)
    policy.write("other.yaml", SPEC)
    arguments = ["check", "-f", "acme.yaml", "-s", "spec.yaml", "-s", "other.yaml"]
    assert policy(*arguments, "-o", "yaml") == 3
    greedy, other = yaml.safe_load(policy.out)["specs"]
    assert (greedy["blocks"], other["blocks"]) == (True, False)
    assert {f["id"] for f in greedy["findings"] if f["blocks"]} == {
        "rules.no-half", "security.limits.requests_per_minute",
    }  # fmt: skip
    assert other["settings"][0]["policies"] == ["acme"]
    assert policy(*arguments, "-o", "sarif") == 3
    log = json.loads(policy.out)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 2)
    region = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region["startLine"] in (3, 4)


def test_the_hour_of_a_check_refuses_nothing(policy: Shell) -> None:
    policy.write(
        "acme.yaml",
        "kind: Policy\nname: acme\nmaintenance:\n  freezes:\n"
        "    - {first: '2020-01-01', last: '2099-12-31', reason: a long one}\n",
    )
    policy.write("spec.yaml", SPEC)
    assert policy("check", "-f", "acme.yaml", "-s", "spec.yaml") == 0
    assert "info: maintenance.freeze" in policy.out
    assert "a deploy now would be refused" in policy.out


def test_without_policy_files_what_is_applied_is_checked(applied: Shell) -> None:
    applied.write("spec.yaml", GREEDY)
    assert applied("check", "-s", "spec.yaml") == 3
    assert "at most 60 is allowed" in applied.out


def test_there_must_be_something_to_check(policy: Shell) -> None:
    assert policy("check") == 2
    assert "-f names policy files" in policy.err


def test_applying_shows_what_changes_and_keeps_the_text(policy: Shell) -> None:
    policy.write("acme.yaml", ACME)
    assert policy("apply", "-f", "acme.yaml", "-y") == 0
    assert "policy acme: new" in policy.out
    assert "+ security.limits.max_tokens: 2048 (stricter)" in policy.out
    assert "policy acme: version 1 holds from the next deploy on" in policy.out
    assert policy("show", "acme") == 0
    assert policy.out == ACME


def test_applying_again_does_nothing_and_says_so(applied: Shell) -> None:
    before = applied.shelf
    assert applied("apply", "-f", ".", "--yes") == 0
    assert "policy acme: nothing changed (version 1)" in applied.err
    assert applied.shelf == before


def test_a_looser_bound_is_marked(applied: Shell) -> None:
    applied.write("acme.yaml", ACME.replace("120, max_tokens: 2048", "300"))
    assert applied("apply", "-f", "acme.yaml", "-y") == 0
    assert "~ security.limits.requests_per_minute: 120 -> 300 (LOOSER)" in applied.out
    assert "- security.limits.max_tokens: 2048 (LOOSER)" in applied.out
    listed = applied.data("list", "--all")["policies"]
    assert [(p["name"], p["version"], p["state"]) for p in listed] == [
        ("acme", 1, "replaced"), ("team", 1, "holds"), ("acme", 2, "holds"),
    ]  # fmt: skip
    found = applied.data("diff", "acme")["differences"]
    assert [one["way"] for one in found] == ["looser", "looser"]
    assert applied.data("diff", "acme", "--version", "2", "--version", "1")["differences"]
    assert applied.data("show", "acme", "--version", "1")["text"] == ACME


def test_nothing_is_applied_without_a_yes(applied: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    before = applied.shelf
    applied.write("acme.yaml", ACME.replace("120", "12"))
    assert applied("apply", "-f", "acme.yaml") == 2
    assert "no terminal" in applied.err
    terminal = io.StringIO("n\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert applied("apply", "-f", "acme.yaml") == 3
    assert "nothing was changed" in applied.err
    assert applied.shelf == before


@pytest.mark.parametrize(
    ("change", "said", "holding"),
    [
        (
            lambda shelf: shelf.removed("team", time.time()),
            r"by somebody else, who removed team at \d\d:\d\d:\d\d, since this was shown",
            ["acme"],
        ),
        (
            lambda shelf: shelf.applied("other", TEAM, time.time(), "eve@there"),
            r"by eve@there, who applied other \(version 1\) at \d\d:\d\d:\d\d, since this",
            ["acme", "other", "team"],
        ),
    ],
    ids=["a removal", "an application"],
)
def test_what_another_changes_meanwhile_is_not_written_over_and_the_other_is_named(
    applied: Shell,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Shelf], Shelf],
    said: str,
    holding: list[str],
) -> None:
    def another_is_quicker(_question: str) -> bool:
        store = FilePolicyStore(applied.folder / "home")
        shelf, version = store.read()
        store.write(change(shelf), version)
        return True

    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("cli.output.ask", another_is_quicker)
    applied.write("acme.yaml", ACME.replace("120", "12"))
    assert applied("apply", "-f", "acme.yaml") == 3
    assert re.search(said, applied.err), applied.err
    assert [entry.name for entry in applied.shelf.holding()] == holding
    assert applied.shelf.find("acme").version == 1


def test_a_policy_comes_from_standard_input(policy: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(TEAM))
    assert policy("apply", "-f", "-", "--yes") == 0
    assert policy.shelf.find("team").text == TEAM


def test_a_removed_policy_holds_no_more_and_can_still_be_shown(applied: Shell) -> None:
    assert applied("remove", "team", "--yes") == 0
    assert "- security.limits.requests_per_minute: 60 (LOOSER)" in applied.out
    assert applied("list") == 0
    assert "team" not in applied.out
    assert applied("show", "team") == 0
    assert applied("remove", "team", "--yes") == 2
    assert "removed already" in applied.err


def test_a_file_is_compared_with_what_holds(applied: Shell) -> None:
    applied.write("acme.yaml", ACME.replace("120", "240"))
    assert applied("diff", "acme", "-f", "acme.yaml") == 0
    assert "120 -> 240 (LOOSER)" in applied.out
    assert applied("diff", "team", "-f", "acme.yaml") == 2
    assert applied("diff", "team", "-f", "team.yaml") == 0
    assert applied.out == "policy team: no field differs\n"


def test_who_decided_is_told_with_the_line(applied: Shell) -> None:
    assert applied("explain", "security.requests_per_minute") == 0
    assert "security.limits.requests_per_minute: 60\n" in applied.out
    assert "would allow: 120, by acme (organisation)  policy acme (version 1):6:33" in applied.out
    assert "decided: 60, by team (project)  policy team (version 1):4:42" in applied.out
    (found,) = applied.data("explain", "security.limits.max_tokens")
    assert (found["value"], [v["policy"] for v in found["said"]]) == (2048, ["acme"])


def test_only_the_policies_that_apply_to_a_spec_are_explained(applied: Shell) -> None:
    applied.write("team.yaml", TEAM + "applies_to: {services: ['support-*']}\n")
    applied.write("spec.yaml", SPEC)
    files = ["-f", "acme.yaml", "-f", "team.yaml"]
    (found,) = applied.data("explain", "security.requests_per_minute", "-s", "spec.yaml", *files)
    assert (found["value"], found["said"][0]["place"]) == (120, "acme.yaml:6:33")


def test_a_field_is_explained_where_no_policy_says_anything(policy: Shell) -> None:
    assert policy("explain", "security.pinned") == 0
    assert policy.out.startswith("security.pinned: no policy says anything\n")
    assert "full commit hash" in policy.out
    assert policy("explain", "security.pined") == 2
    assert "did you mean 'security.pinned'?" in policy.err


def test_a_damaged_shelf_is_told(applied: Shell) -> None:
    (applied.folder / "home" / "policies.json").write_text("{")
    assert applied("list") == 1
    assert "is damaged" in applied.err


def test_names_and_fields_are_completed(applied: Shell) -> None:
    from cli.places import policy_names
    from cli.policy import _fields

    assert policy_names("") == ["acme", "team"]
    assert policy_names("te") == ["team"]
    assert "security.pinned" in _fields("security.p")
    (applied.folder / "home" / "policies.json").write_text("{")
    assert policy_names("") == []
