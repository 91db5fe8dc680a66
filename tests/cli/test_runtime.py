"""`llmops runtime` as it is typed; nothing here starts an engine or a systemd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.local import starting
from tests.cli.test_backup import Desk
from tests.local.test_starting import machine

__all__ = ["machine"]


@pytest.fixture
def desk(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A machine with a stand-in for systemd, on which nothing was deployed."""
    monkeypatch.setattr(starting, "BOOTED", machine)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(machine / "config"))
    return Desk(machine)


def units(desk: Desk) -> list[Path]:
    return list((desk.home.parent / "config").rglob("*.service"))


def test_it_shows_what_it_writes_and_says_what_it_takes_to_stay(desk: Desk) -> None:
    done = desk.ok("runtime", "enable", "--yes")
    [file] = units(desk)
    assert file.read_text() in done.stdout
    assert f"systemctl --user enable {file.name}" in done.stdout
    assert "loginctl enable-linger" in done.stdout
    assert "was enabled already" in desk.ok("runtime", "enable").stdout
    assert "enabled" in desk.ok("runtime", "status").stdout


def test_without_a_terminal_it_needs_to_be_told(desk: Desk) -> None:
    done = desk.run("runtime", "enable")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert units(desk) == []


def test_it_tells_as_data(desk: Desk) -> None:
    assert json.loads(desk.ok("runtime", "status", "-o", "json").stdout)["enabled"] is False
    made = json.loads(desk.ok("runtime", "enable", "--yes", "-o", "json").stdout)
    assert (made["changed"], made["enabled"], made["linger"]) == (True, True, False)
    assert made["text"] == Path(made["file"]).read_text()
    gone = json.loads(desk.ok("runtime", "disable", "--yes", "-o", "json").stdout)
    assert (gone["changed"], gone["enabled"]) == (True, False)
    assert units(desk) == []
    assert "was not there" in desk.ok("runtime", "disable").stdout


def test_without_systemd_it_says_what_to_do_instead(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "BOOTED", desk.home / "nowhere")
    done = desk.run("runtime", "enable", "--yes")
    assert done.returncode == 3
    assert "was not started by systemd" in done.stderr
    assert "llmops deploy does" in done.stderr
    assert "llmops deploy does" in desk.ok("runtime", "status").stdout


def test_there_is_nothing_to_bring_back_where_nothing_was_live(desk: Desk) -> None:
    desk.home.mkdir(mode=0o700)
    assert "nothing is live on this machine" in desk.ok("runtime", "start", "--yes").stdout
