"""Watches that are ended by hand or whose command is killed, with the real engine.

The heavier tier: each test starts an engine.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stage import Stage, until
from tests.e2e.test_6_kills import run_until

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

NAME = "tried"


def spec(stage: Stage, model: Path, context: int, watch: str, steps: str = "[40]") -> Path:
    """A spec of the one service here; another context makes another release."""
    canary = f"{{steps: {steps}, watch: {watch}, least_requests: 1}}"
    return stage.spec(
        NAME,
        "unused",
        model=f"{{source: 'file://{model}', context: {context}}}",
        maintenance=f"{{drain: 5s, strategy: canary, canary: {canary}}}",
    )


def recorded(stage: Stage) -> list[dict[str, Any]]:
    """All releases of the service, oldest first."""
    releases: list[dict[str, Any]] = stage.run("history", NAME, "-o", "json").json()["releases"]
    return releases


def settled(stage: Stage, number: int) -> bool:
    found = stage.status(NAME)["releases"]
    shown = [(r["number"], r["state"], r["phase"], r["share"]) for r in found]
    return shown == [(number, "live", "ready", 100)]


@pytest.fixture(scope="module")
def before(stage: Stage, model: Path) -> Iterator[int]:
    """A deployed service of these tests' own; its first release."""
    done = stage.deploy(spec(stage, model, 500, "1d"))
    assert done.code == 0, done.text
    yield stage.live(NAME)
    stage.run("destroy", NAME, "--yes")


@pytest.mark.long
def test_who_watches_is_told_that_somebody_has_taken_the_release_back(
    stage: Stage, model: Path, before: int
) -> None:
    path = spec(stage, model, 490, "1d")
    watches = stage.start("deploy", "-f", str(path), "--yes")
    run_until(watches, "has 40 % of new requests")
    back = stage.run("rollback", NAME, "--yes")
    printed = watches.communicate(timeout=300)[0]
    assert back.code == 0, back.text
    assert f"release {before + 1} is taken back; release {before} serves" in back.out
    assert watches.returncode == 4, printed
    assert f"release {before + 1} was taken back by " in printed
    assert f"release {before} still serves" in printed
    assert settled(stage, before)
    assert recorded(stage)[-1]["ended_by"]


def test_who_watches_ends_well_when_somebody_promotes(
    stage: Stage, model: Path, before: int
) -> None:
    path = spec(stage, model, 480, "1d")
    watches = stage.start("deploy", "-f", str(path), "--yes")
    run_until(watches, "has 40 % of new requests")
    number = recorded(stage)[-1]["number"]
    promoted = stage.run("promote", NAME, "--yes")
    printed = watches.communicate(timeout=300)[0]
    assert promoted.code == 0, promoted.text
    assert f"release {number} has all traffic" in promoted.out
    assert watches.returncode == 0, printed
    assert f"release {number} was promoted by " in printed
    assert settled(stage, number)
    assert "promoted by " in stage.run("history", NAME).out
    again = stage.run("promote", NAME, "--yes")
    assert again.code == 0, again.text
    assert "has all traffic already" in again.out


def test_the_runtime_goes_on_with_a_watch_whose_command_was_killed(
    stage: Stage, model: Path, before: int
) -> None:
    path = spec(stage, model, 470, "20s", "[20, 40]")
    watches = stage.start("deploy", "-f", str(path), "--yes")
    run_until(watches, "has 20 % of new requests")
    number = recorded(stage)[-1]["number"]
    watches.send_signal(signal.SIGKILL)
    watches.communicate(timeout=30)
    assert recorded(stage)[-1]["state"] == "staging", "the fault did not land"
    until(lambda: settled(stage, number), 120)
    live = recorded(stage)[-1]
    assert [step["share"] for step in live["watched"]] == [20, 40]
    told = (stage.home / "logs" / "host.log").read_text()
    assert f"nobody watches {NAME} any more: gone on with here" in told
    assert f"{NAME}: watch release {number}" in told
    again = stage.deploy(path)
    assert again.code == 0, again.text
    assert "nothing changed" in again.out


@pytest.mark.long
def test_it_gives_way_to_a_command(stage: Stage, model: Path, before: int) -> None:
    serves = stage.live(NAME)
    path = spec(stage, model, 460, "1d")
    watches = stage.start("deploy", "-f", str(path), "--yes")
    run_until(watches, "has 40 % of new requests")
    watches.send_signal(signal.SIGKILL)
    watches.communicate(timeout=30)

    def resuming() -> list[psutil.Process]:
        return [p for p in stage.processes() if "serving.local.resuming" in p.cmdline()]

    until(lambda: bool(resuming()), 60)
    back = stage.run("rollback", NAME, "--yes")
    assert back.code == 0, back.text
    assert settled(stage, serves)
    assert not resuming()
