"""Maintenance windows on the command line: options, countdown and history, where nothing is run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from cli.gates import LONGEST, gate_of
from cli.history import _note
from cli.output import Drawer, repeat
from llmops.errors import InputError
from llmops.events import Progress
from llmops.releases import State, Summary, Watched
from llmops.windows import DAYS
from tests.cli.test_command_line import DEMO, Shell
from tests.releases.plans import release


def closed_now() -> str:
    """A window that is closed for the next days."""
    day = (time.gmtime().tm_wday + 3) % 7
    return f"{DAYS[day]} 01:00-01:05 UTC"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.write(f"{DEMO}maintenance:\n  window: {closed_now()}\n")
    return made


def test_a_deploy_outside_of_its_window_is_refused_at_its_line(shell: Shell) -> None:
    done = shell.run("deploy", "--yes")
    assert done.returncode == 3, done.stderr
    assert "outside the maintenance windows of the service" in done.stderr
    assert "llmops.yaml:4:11" in done.stderr
    assert f"opens {closed_now()[:3]} " in done.stderr
    assert "--wait waits for it; --emergency REASON does it now" in done.stderr
    assert not (shell.home / "releases" / "demo.json").exists()


@pytest.mark.parametrize("verb", [("deploy",), ("rollback", "demo"), ("destroy", "demo")])
def test_an_emergency_needs_a_reason_and_waits_for_nothing(
    shell: Shell, verb: tuple[str, ...]
) -> None:
    empty = shell.run(*verb, "--yes", "--emergency", "  ")
    assert empty.returncode == 2
    assert f"--emergency: expected a reason of 1 to {LONGEST} characters, found 0" in empty.stderr
    both = shell.run(*verb, "--yes", "--wait", "--emergency", "it leaks")
    assert both.returncode == 2
    assert "--wait and --emergency exclude each other" in both.stderr


def test_a_reason_is_one_line_and_says_who() -> None:
    emergency = gate_of(False, " it\n leaks ").emergency
    assert emergency is not None
    assert emergency.reason == "it leaks"
    assert "@" in emergency.by
    with pytest.raises(InputError):
        gate_of(False, "x" * (LONGEST + 1))
    assert gate_of(True, None).wait


def test_the_history_tells_emergencies_and_watches() -> None:
    made = release(3, State.FAILED, reason="slower", emergency="leak", emergency_by="ann@desk")
    assert _note(made) == "slower; emergency: leak (ann@desk)"
    watched = release(3, State.STAGING, watched_since=5.0)
    assert _note(watched) == "watched with 10 % of the traffic"
    assert _note(replace(watched, state=State.LIVE)) == ""
    old = Summary(180, 1, 0, 0, 9, 0.12, 0.02)
    step = Watched(10, 5.0, 9.0, Summary(20, 0, 0, 0, 1, 0.11, 0.0213), old, "no worse")
    promoted = replace(watched, state=State.LIVE, watched=(step,), ended_by="ann@desk")
    assert _note(promoted) == (
        "10 %: no worse, 0/20 failed (1/180), 1 truncated (9), TTFT 110 ms (120),"
        " TPOT 21.3 ms (20); promoted by ann@desk"
    )
    assert _note(release(3, State.LIVE, rollback_of=1)) == "repeats release 1"


def test_a_wait_for_hours_says_how_long_and_is_not_told_every_moment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    moment = Progress("window", "closed; opens Sun", 60.0, 7260.0)
    assert repeat(moment) == 360
    assert repeat(replace(moment, phase="stage")) == 10
    Drawer().event(moment)
    assert capsys.readouterr().err == "window: closed; opens Sun (in 120 min 0 s)\n"
