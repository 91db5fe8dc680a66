"""What an earlier run has left is taken up by the next one, with nothing repaired by hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.automation import (
    Locked,
    Outputs,
    StackEvent,
    StackFlow,
    StackState,
    Told,
    Update,
    bring_up,
    take_down,
)
from infra.automation.command import open_command
from infra.automation.mending import mend
from tests.infra.automation.stage import ROOT, Stage, failing, follow
from tests.infra.pulumi_stub.backend import holder

pytestmark = pytest.mark.timeout(600)

RECORDED = Path(__file__).parents[1] / "recordings/first.jsonl"
EVENTS = len(RECORDED.read_text().splitlines())


def told(events: list[StackEvent]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Told))


def ended_pid() -> int:
    """The pid of a process that has been and gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lock(stage: Stage, pid: int, host: str) -> None:
    stage.lock_folder.mkdir(parents=True, exist_ok=True)
    (stage.lock_folder / "left.json").write_text(json.dumps(holder(pid, host)))


def test_an_update_that_was_killed_is_taken_up_by_the_next(stage: Stage) -> None:
    stage.script(up=["killed.jsonl", "first.jsonl"])
    failing(bring_up(stage.engine()))
    assert stage.engine().state().pending[0].operation == "creating"
    assert len(stage.locks()) == 1
    events, outputs = follow(bring_up(stage.engine()))
    assert "which has ended: its lock is dropped" in told(events)
    assert "cut off while creating chat-head" in told(events)
    assert "llmops cluster sweep" in told(events)
    assert outputs.text("store") == "s3://chat-us-east-1-store/llmops"
    assert stage.engine().state().pending == ()
    assert stage.locks() == []


WHOLE = {
    event["resOutputsEvent"]["metadata"]["urn"]
    for event in map(json.loads, RECORDED.read_text().splitlines())
    if "resOutputsEvent" in event
}


@pytest.mark.parametrize("after", [0, 3, EVENTS // 2, EVENTS - 1])
def test_killed_after_any_event_the_next_run_converges(
    after: int, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_STUB_DIE_AFTER", str(after))
    failing(bring_up(stage.engine()))
    assert len(stage.locks()) == 1, "the kill did not land: nothing was left behind"
    monkeypatch.delenv("PULUMI_STUB_DIE_AFTER")
    follow(bring_up(stage.engine()))
    state = stage.engine().state()
    assert (set(state.resources), state.pending) == (WHOLE, ())


def test_a_destroy_that_was_killed_is_taken_up_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(bring_up(stage.engine()))
    monkeypatch.setenv("PULUMI_STUB_DIE_AFTER", "7")
    failing(take_down(stage.engine(), keep_data=False))
    assert 0 < len(stage.engine().state().resources) < 10
    monkeypatch.delenv("PULUMI_STUB_DIE_AFTER")
    follow(take_down(stage.engine(), keep_data=False))
    assert not stage.engine().exists()


def test_a_lock_of_somebody_alive_names_them(stage: Stage) -> None:
    follow(bring_up(stage.engine()))
    lock(stage, os.getpid(), socket.gethostname())
    _, error = failing(bring_up(stage.engine()))
    assert isinstance(error, Locked)
    assert error.exit_code == 3
    assert f"(pid {os.getpid()})" in error.message
    assert len(stage.locks()) == 1


def test_a_lock_of_another_host_is_never_taken_for_stale(stage: Stage) -> None:
    follow(bring_up(stage.engine()))
    lock(stage, ended_pid(), "some-other-machine")
    _, error = failing(bring_up(stage.engine()))
    assert "some-other-machine" in error.message
    assert len(stage.locks()) == 1


def test_a_lock_of_a_dead_process_here_is_dropped(stage: Stage) -> None:
    follow(bring_up(stage.engine()))
    lock(stage, ended_pid(), socket.gethostname())
    events, _ = follow(bring_up(stage.engine()))
    assert "its lock is dropped" in told(events)


def test_a_second_update_changes_nothing(stage: Stage) -> None:
    follow(bring_up(stage.engine()))
    before = stage.engine().state()
    events, _ = follow(bring_up(stage.engine()))
    changes = {e.operation for e in events if hasattr(e, "operation")}
    assert changes == {"same"}
    assert stage.engine().state() == before


def test_a_command_that_is_killed_leaves_an_engine_that_is_named_and_then_taken_up(
    stage: Stage,
) -> None:
    stage.script(up=["slow.jsonl"])
    code = (
        "from tests.infra.automation.stage import Stage, follow; from pathlib import Path;"
        f"follow(Stage(Path({str(stage.folder)!r})).engine().up())"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _await((stage.folder / "go.reached").exists)
    command.kill()
    command.wait()
    _, error = failing(bring_up(stage.engine()))
    assert isinstance(error, Locked), "the kill did not land: its engine has ended"
    assert not error.stale
    [holder] = error.holders
    assert holder.pid != command.pid
    (stage.folder / "go").touch()
    _await(lambda: not stage.locks())
    stage.script(up=["first.jsonl"])
    follow(bring_up(stage.engine()))
    state = stage.engine().state()
    assert (set(state.resources), state.pending) == (WHOLE, ())


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not done():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_an_interrupt_between_two_commands_begins_no_other(stage: Stage) -> None:
    command = open_command(dict(os.environ))
    command.interrupt()
    with pytest.raises(InterruptedError):
        command.run(["up"], str(stage.folder), {})
    command.again()
    assert command.run(["whoami", "--json"], str(stage.folder), {}).code == 0


def test_a_service_that_holds_the_lock_is_asked_who_began_the_update() -> None:
    class Served:
        def state(self) -> StackState:
            return StackState({})

        def history(self) -> tuple[Update, ...]:
            return (Update("update", "in-progress", 0.0, None, "", who="anna"),)

        def up(self, message: str = "") -> StackFlow[Outputs]:
            yield from ()
            raise Locked("chat", ())

    with pytest.raises(Locked, match="being changed by anna"):
        follow(bring_up(Served()))  # type: ignore[arg-type]  # all that is asked of it


def test_a_side_file_that_a_killed_engine_has_torn_is_removed(stage: Stage) -> None:
    stage.script(up=["first.jsonl", "same.jsonl"])
    follow(bring_up(stage.engine()))
    side = stage.record.with_name(f"{stage.record.name}.attrs")
    side.touch()
    whole = side.with_name("another.json.attrs")
    whole.write_text("{}")
    assert stage.engine().state().resources
    assert not side.exists()
    assert whole.exists(), "a whole one was removed as well"
    side.touch()
    follow(bring_up(stage.engine()))


@pytest.mark.parametrize("place", ["{}", "{}?no_tmp_dir=true", "", "logged in"])
def test_a_backend_of_files_is_found_as_the_engine_finds_it(place: str, tmp_path: Path) -> None:
    backend, home = tmp_path / "a backend", tmp_path / "home"
    side = backend / ".pulumi/stacks/llmops/chat.json.attrs"
    side.parent.mkdir(parents=True)
    side.touch()
    home.mkdir()
    environment = {"PULUMI_HOME": str(home)}
    if place == "logged in":
        (home / "credentials.json").write_text(json.dumps({"current": backend.as_uri()}))
    elif place:
        environment["PULUMI_BACKEND_URL"] = place.format(backend.as_uri())
    assert mend(environment, tmp_path) is bool(place)
    assert side.exists() is not bool(place)
    assert not mend({**environment, "PULUMI_BACKEND_URL": "s3://bucket"}, tmp_path)
