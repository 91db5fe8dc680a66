"""`llmops keys` and the audit lines of `llmops logs`, on a service that was deployed here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.releases import History
from serving.gateway import Audit, KeyRing
from serving.local import LocalTarget
from tests.local.releases import release

DAY = 86_400.0


class Here:
    """A home in which `tiny` was deployed; nothing runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        store = LocalTarget(home).store
        store.write(History("tiny", (release("tiny", 1),)), store.read("tiny")[1])

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"LLMOPS_HOME": str(self.home)})

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "-o", "json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def error(self, *arguments: str) -> LlmopsError:
        done = self.run(*arguments)
        assert isinstance(done.exception, LlmopsError), done.output
        return done.exception

    def opens(self, text: str) -> bool:
        return KeyRing(self.home / "keys.json").find(text) is not None


@pytest.fixture
def here(tmp_path: Path) -> Here:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Here(home)


def test_a_key_is_made_shown_once_and_expires_as_asked(here: Here) -> None:
    made = here.json("keys", "create", "tiny", "-k", "team-a", "--expires", "90d")
    assert here.opens(made["key"])
    assert made["expires_at"] - time.time() == pytest.approx(90 * DAY, abs=60)
    [listed] = here.json("keys", "list", "tiny")["keys"]
    assert (listed["name"], listed["state"]) == ("team-a", "valid")
    assert listed["expires_at"] == made["expires_at"]
    assert 0 <= listed["age_seconds"] < 60
    assert made["key"] not in here.run("keys", "list", "tiny").output
    text = here.run("keys", "create", "tiny", "-k", "team-b").stdout.strip().splitlines()
    assert here.opens(text[-1])


def test_a_key_is_for_the_models_that_are_named(here: Here) -> None:
    here.json("keys", "create", "tiny", "-k", "a", "--model", "tiny", "--model", "other")
    [listed] = here.json("keys", "list", "tiny")["keys"]
    assert listed["models"] == ["tiny", "other"]
    assert "tiny, other" in here.run("keys", "list", "tiny").stdout


def test_a_rotated_key_has_the_same_name_and_both_open(here: Here) -> None:
    old = here.json("keys", "create", "tiny", "-k", "team-a")
    new = here.json("keys", "rotate", "tiny", "team-a", "--overlap", "1h")
    assert (new["name"], new["expires_at"]) == ("team-a", None)
    assert here.opens(old["key"])
    assert here.opens(new["key"])
    first, second = here.json("keys", "list", "tiny")["keys"]
    assert first["expires_at"] - time.time() == pytest.approx(3600, abs=60)
    assert second["id"] == new["id"]
    third = here.json("keys", "rotate", "tiny", old["id"], "--overlap", "0s", "--expires", "1d")
    assert [here.opens(key["key"]) for key in (old, new, third)] == [False, False, True]
    states = [key["state"] for key in here.json("keys", "list", "tiny")["keys"]]
    assert states == ["expired", "expired", "valid"]


def test_a_name_in_use_is_refused_and_told_to_rotate(here: Here) -> None:
    here.json("keys", "create", "tiny", "-k", "team-a")
    error = here.error("keys", "create", "tiny", "-k", "team-a")
    assert "llmops keys rotate tiny team-a" in error.hint


@pytest.mark.parametrize("text", ["soon", "-1d", "90", "d", ""])
def test_a_time_that_is_none_is_refused_and_nothing_made(here: Here, text: str) -> None:
    for arguments in (
        ("create", "tiny", "-k", "a", "--expires"),
        ("rotate", "tiny", "a", "--overlap"),
    ):
        error = here.error("keys", *arguments, text)
        assert isinstance(error, InputError)
        assert error.message.startswith(arguments[-1])
    assert here.json("keys", "list", "tiny")["keys"] == []


def test_the_operators_key_is_neither_made_nor_rotated(here: Here) -> None:
    for verb in (("create", "tiny", "-k", "operator"), ("rotate", "tiny", "operator")):
        assert "own key" in here.error("keys", *verb).message


def test_a_certificate_is_made_once_and_its_lines_are_a_spec(here: Here) -> None:
    done = here.run("keys", "tls", "llm.example.com")
    assert done.exit_code == 0, done.output
    folder = here.home / "tls"
    lines = f"target:\n  tls: {{cert: {folder}/server.pem, key: {folder}/server-key.pem}}\n"
    assert done.stdout == lines
    assert "for development" in done.stderr
    again = here.json("keys", "tls")
    assert not again["made"]
    assert "llm.example.com" in again["names"]
    assert here.json("keys", "tls", "--renew")["made"]


@pytest.fixture
def audited(here: Here) -> Here:
    audit = Audit(here.home / "logs" / "audit.jsonl")
    for number in range(5):
        audit.write(key_id="k", service="tiny", number=number)
        audit.write(key_id="k", service="other")
        audit.write(reason="invalid_api_key")
    audit.close()
    return here


def test_audit_lines_are_those_of_the_service(audited: Here) -> None:
    shown = audited.run("logs", "tiny", "--audit").stdout.splitlines()
    assert [json.loads(line)["number"] for line in shown] == [0, 1, 2, 3, 4]
    last = audited.run("logs", "tiny", "--audit", "-n", "2").stdout.splitlines()
    assert last == shown[-2:]


def test_a_whole_audit_log_is_said_to_be_that(audited: Here) -> None:
    done = audited.run("logs", "tiny", "--audit", "--verify")
    assert done.exit_code == 0, done.output
    assert "known callers: 10 lines verified (1 to 10)" in done.stdout
    assert "unknown callers: 5 lines verified (1 to 5)" in done.stdout


@pytest.mark.parametrize("file", ["audit.jsonl", "audit.unknown.jsonl"])
def test_an_edited_line_is_named_by_file_and_line(audited: Here, file: str) -> None:
    path = audited.home / "logs" / file
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"time": 1', '"time": 2')
    path.write_text("".join(lines))
    done = audited.run("logs", "tiny", "--audit", "--verify")
    assert isinstance(done.exception, RefusedError)
    assert done.exception.exit_code == 3
    assert f"{file}:3: " in done.stdout


def test_what_makes_no_sense_together_is_refused(audited: Here) -> None:
    assert "--audit --verify" in audited.error("logs", "tiny", "--verify").hint
    assert "--release" in audited.error("logs", "tiny", "--audit", "-r", "1").message
