"""Killed at every single event of an update, the next run converges: nothing pending, no lock left,
nothing missing. The heavier tier; a few events are tried in `test_recovery` as well.

Two deaths are tried: `pulumi` ends by SIGKILL, as from a machine's out-of-memory killer; or our own
process does, and leaves a `pulumi` that goes on by itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.automation import bring_up
from tests.e2e.stage import until
from tests.infra.automation.stage import Stage, failing, follow
from tests.infra.automation.test_recovery import EVENTS, WHOLE

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

TOLD = EVENTS + 1
"""Events of an update: those of the log but for its outputs' place, and two at the end."""


def anew(stage: Stage) -> None:
    """As if nothing had ever been made."""
    shutil.rmtree(stage.folder / "backend", ignore_errors=True)


def assert_converges(stage: Stage, when: str) -> None:
    """One plain run more, and all is as it should be."""
    follow(bring_up(stage.engine()))
    state = stage.engine().state()
    assert (set(state.resources), state.pending) == (WHOLE, ()), when
    assert stage.locks() == [], when
    assert stage.stored()["history"][-1]["result"] == "succeeded", when


def test_pulumi_that_is_killed_at_any_event_is_taken_up_by_the_next_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in range(TOLD):
        anew(stage)
        monkeypatch.setenv("PULUMI_STUB_DIE_AFTER", str(after))
        failing(bring_up(stage.engine()))
        assert len(stage.locks()) == 1, f"the kill at event {after} did not land"
        monkeypatch.delenv("PULUMI_STUB_DIE_AFTER")
        assert_converges(stage, f"killed after {after} events")


def update_until(folder: Path, environment: Mapping[str, str], events: int) -> None:
    """Update a stack, and be killed after so many events that were heard of."""
    os.environ.clear()
    os.environ.update(environment)
    flow = bring_up(Stage(folder).engine())
    for _ in range(events):
        next(flow)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_command_that_is_killed_at_any_event_is_taken_up_by_the_next_run(stage: Stage) -> None:
    heard = len(follow(bring_up(stage.engine()))[0])
    assert heard > len(WHOLE)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["infra.automation.engine"])
    for events in range(heard):
        anew(stage)
        command = context.Process(
            target=update_until, args=(stage.folder, dict(os.environ), events)
        )
        command.start()
        command.join(300)
        assert command.exitcode == -signal.SIGKILL, f"the kill at event {events} did not land"
        until(lambda: not _at_work(stage), 300)
        assert_converges(stage, f"killed after {events} events")


def _at_work(stage: Stage) -> bool:
    """Whether the `pulumi` that was left behind still runs: `test_recovery` tells who that is."""
    for lock in stage.locks():
        try:
            os.kill(json.loads(lock.read_text())["pid"], 0)
        except (ProcessLookupError, FileNotFoundError):
            continue
        return True
    return False
