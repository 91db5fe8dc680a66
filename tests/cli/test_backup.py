"""`llmops backup` and `llmops restore` as they are typed; nothing here starts an engine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any
from unittest.mock import patch

import pytest

from cli.app import run
from llmops.releases import History, State
from llmops.saved import Access
from serving.gateway import create_key
from serving.local import LocalTarget
from tests.local.releases import release


@dataclass(frozen=True)
class Done:
    """How the program ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Desk:
    """A machine with a home, at which the program is run: in this process, since starting one for
    each of these would take most of the time."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"

    @property
    def target(self) -> LocalTarget:
        return LocalTarget(self.home)

    def run(self, *arguments: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        handlers = [(number, signal.getsignal(number)) for number in (SIGINT, SIGTERM)]
        with (
            patch.dict(os.environ, {"LLMOPS_HOME": str(self.home)}),
            patch("sys.stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            run(list(arguments))
        for number, handler in handlers:
            signal.signal(number, handler)
        code = end.value.code
        return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str) -> Done:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A machine with two services that have been deployed, and keys."""
    made = Desk(tmp_path)
    for service in ("chat", "search"):
        past = History(service, (release(service, 1),))
        made.target.store.write(past, "")
        create_key(made.home / "keys.json", service, "team")
    operator = made.home / "operator-keys" / "chat"
    operator.parent.mkdir(mode=0o700)
    operator.write_text("canary-secret-2b7d")
    operator.chmod(0o600)
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "other")


def test_a_backup_is_put_back_on_an_empty_machine(desk: Desk, empty: Desk, tmp_path: Path) -> None:
    place, key = f"file://{tmp_path}/kept", str(tmp_path / "key")
    desk.ok("backup", "key", key)
    made = desk.ok("backup", "--all", "--to", place, "--key-file", key, "-o", "json")
    document: dict[str, Any] = json.loads(made.stdout)
    assert [s["name"] for s in document["services"]] == ["chat", "search"]
    assert (document["sealed"], document["secrets_left_out"]) == (True, 0)
    content = Path(document["address"].removeprefix("file://")).read_bytes()
    assert b"canary-secret" not in content
    done = empty.ok("restore", "--from", place, "--key-file", key, "--no-deploy", "--yes")
    assert "chat: its records are back" in done.stdout
    for service in ("chat", "search"):
        assert empty.target.history(service) == desk.target.history(service)
        assert empty.target.vault.read(service) == desk.target.vault.read(service)
    again = empty.ok("restore", "--from", place, "--no-deploy", "--yes")
    assert "its records are here already" in again.stderr


def test_secrets_are_left_out_without_a_key_and_that_is_said(
    desk: Desk, empty: Desk, tmp_path: Path
) -> None:
    done = desk.ok("backup", "chat", "--to", str(tmp_path / "kept"))
    assert "1 secrets are left out" in done.stderr
    address = done.stdout.strip()
    assert address.startswith("file://")
    empty.ok("restore", "--from", address, "--no-deploy", "--yes")
    assert empty.target.store.services() == ("chat",)
    assert empty.target.vault.read("chat") == Access(desk.target.vault.read("chat").keys)


def test_what_is_asked_for_wrongly_is_said(desk: Desk, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    for arguments, message in (
        (("backup", "--all"), "--to says where"),
        (("backup", "--to", kept), "name the services, or say --all"),
        (("backup", "chat", "--all", "--to", kept), "and not both"),
        (("backup", "other", "--to", kept), "no service 'other'"),
        (("backup", "chat", "--to", "ftp://x/y"), "no place for a backup"),
        (("backup", "chat", "--to", kept, "--key-file", "/none"), "cannot be read"),
        (("restore", "--yes"), "--from says where"),
        (("restore", "--from", kept), "no terminal"),
        (("restore", "--from", kept, "--yes"), "does not exist"),
    ):
        done = desk.run(*arguments)
        assert done.returncode == 2, arguments
        assert message in done.stderr, (arguments, done.stderr)
        assert "hint:" in done.stderr
    assert not Path(kept).exists()


def test_a_damaged_backup_changes_nothing(desk: Desk, empty: Desk, tmp_path: Path) -> None:
    address = desk.ok("backup", "--all", "--to", str(tmp_path)).stdout.strip()
    file = Path(address.removeprefix("file://"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    done = empty.run("restore", "--from", address, "--yes")
    assert done.returncode == 2
    assert "is damaged" in done.stderr
    assert not (empty.home / "keys.json").exists()
    assert empty.target.store.services() == ()


def test_records_that_differ_are_refused_before_anything_is_done(
    desk: Desk, empty: Desk, tmp_path: Path
) -> None:
    address = desk.ok("backup", "--all", "--to", str(tmp_path)).stdout.strip()
    other = release("chat", 1, model={"source": "hf://owner/other"})
    empty.target.store.write(History("chat", (other,)), "")
    done = empty.run("restore", "--from", address, "--yes")
    assert done.returncode == 3
    assert "chat has releases here that differ" in done.stderr
    assert "--replace" in done.stderr
    assert empty.target.store.services() == ("chat",)
    empty.ok("restore", "search", "--from", address, "--no-deploy", "--yes")
    assert empty.target.store.services() == ("chat", "search")
    empty.ok("restore", "--from", address, "--no-deploy", "--yes", "--replace")
    assert empty.target.history("chat") == desk.target.history("chat")


def test_a_backup_of_a_machine_goes_to_no_cluster(desk: Desk, tmp_path: Path) -> None:
    address = desk.ok("backup", "--all", "--to", str(tmp_path)).stdout.strip()
    done = desk.run("restore", "--from", address, "--yes", "--namespace", "ai")
    assert done.returncode == 2
    assert "planned for one" in done.stderr
    assert desk.run("restore", "none", "--from", address, "--yes").returncode == 2


def test_a_run_that_was_killed_before_the_end_is_finished(
    desk: Desk, empty: Desk, tmp_path: Path
) -> None:
    """As a kill leaves it: the records of one service, and not its keys."""
    address = desk.ok("backup", "--all", "--to", str(tmp_path)).stdout.strip()
    (empty.home / "releases").mkdir(parents=True)
    shutil.copy(desk.home / "releases" / "chat.json", empty.home / "releases")
    empty.ok("restore", "--from", address, "--no-deploy", "--yes")
    assert empty.target.vault.read("chat").keys == desk.target.vault.read("chat").keys
    assert empty.target.history("search")[0].state is State.LIVE


PINNED = "kind: Policy\nname: house\nsecurity: {pinned: true}\n"


def test_what_a_policy_forbids_is_not_deployed_by_a_restore_and_nothing_is_put_back(
    desk: Desk, empty: Desk, tmp_path: Path
) -> None:
    """The policy is in the backup too: it was applied after the release was made."""
    shelf, version = desk.target.policies.read()
    desk.target.policies.write(shelf.applied("house", PINNED, 0.0, "ann@desk"), version)
    place = f"file://{tmp_path}/kept"
    desk.ok("backup", "chat", "--to", place)
    done = empty.run("restore", "--from", place, "--yes")
    assert done.returncode == 3
    assert "security.pinned" in done.stderr
    assert "--emergency REASON does it all the same" in done.stderr
    assert empty.target.store.services() == ()
    assert empty.target.policies.read()[0].entries == ()
    empty.ok("restore", "--from", place, "--yes", "--no-deploy")
    assert empty.target.store.services() == ("chat",)


def test_an_emergency_without_a_reason_is_none(desk: Desk, tmp_path: Path) -> None:
    place = f"file://{tmp_path}/kept"
    desk.ok("backup", "chat", "--to", place)
    done = desk.run("restore", "--from", place, "--yes", "--emergency", " ")
    assert done.returncode == 2
    assert "expected a reason" in done.stderr
