"""The true supervisor over fake programs: killed, stopped, gone on with; nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import BusyError, InputError, TargetError
from serving.finetune.runs import Claim, RunPaths, State, document, follow, stop, view
from serving.finetune.runs.machine import TRIES
from tests.finetuning.runs.conftest import NAME, Workshop, kill, marked, until

STAGES = ["model", "data", "training", "evaluation", "artefact"]
HOLDS = [(stage, 3 if stage == "training" else 0) for stage in STAGES]


def _stopped(paths: RunPaths) -> State:
    flow = stop(paths)
    try:
        while True:
            next(flow)
    except StopIteration as end:
        state: State = end.value.state
        return state


def test_a_run_goes_through_its_stages_once_each(workshop: Workshop) -> None:
    started = workshop.begin()
    run = workshop.ended(started)
    assert run.state is State.SUCCEEDED
    assert [attempt.stage.value for attempt in run.attempts] == STAGES
    assert all(attempt.failure is None for attempt in run.attempts)
    assert (run.step, run.steps) == (6, 6)
    assert run.supervisor is None
    assert marked(started.paths.folder) == []


def test_a_model_that_its_gate_refuses_is_kept_and_named(workshop: Workshop) -> None:
    workshop.script(evaluation={"passed": False})
    started = workshop.begin()
    assert workshop.ended(started).state is State.REFUSED
    assert view(started.paths).artefact is not None


@pytest.mark.parametrize(("stage", "point"), HOLDS)
def test_a_supervisor_that_is_killed_is_gone_on_from(
    workshop: Workshop, stage: str, point: int
) -> None:
    workshop.script(**{stage: {"hold": point}})
    started = workshop.begin()
    held = workshop.held()
    assert held["parent"] == started.process.pid
    kill(started.process.pid)
    with pytest.raises(TargetError, match="is gone"):
        workshop.ended(started)
    assert view(started.paths).state == "interrupted"
    workshop.script()
    run = workshop.ended(workshop.go_on(started.paths))
    assert run.state is State.SUCCEEDED
    assert marked(started.paths.folder) == []
    for name in STAGES:
        assert workshop.starts(name) == (2 if name == stage else 1), name


@pytest.mark.parametrize(("stage", "point"), HOLDS)
def test_a_program_that_is_killed_is_started_again(
    workshop: Workshop, stage: str, point: int
) -> None:
    workshop.script(**{stage: {"hold": point}})
    started = workshop.begin()
    held = workshop.held()
    workshop.script()
    kill(held["pid"])
    run = workshop.ended(started)
    assert run.state is State.SUCCEEDED
    [failed] = [attempt for attempt in run.attempts if attempt.failure]
    assert failed.stage.value == stage
    assert failed.pid == held["pid"]
    assert failed.failure is not None
    assert "SIGKILL" in failed.failure.message
    if stage == "training":
        assert run.attempts[-3].at == 2, "it went on from the last checkpoint"


def test_program_and_supervisor_killed_together(workshop: Workshop) -> None:
    workshop.script(training={"hold": 5})
    started = workshop.begin()
    held = workshop.held()
    kill(held["pid"])
    kill(started.process.pid)
    workshop.script()
    run = workshop.ended(workshop.go_on(started.paths))
    assert run.state is State.SUCCEEDED
    assert run.session == 2


def test_what_is_killed_each_time_is_given_up_with_its_cause(workshop: Workshop) -> None:
    workshop.script(data={"exit": -signal.SIGKILL})
    run = workshop.ended(workshop.begin())
    assert run.state is State.FAILED
    assert workshop.starts("data") == TRIES
    assert run.failure is not None
    assert run.failure.kind == "killed"
    assert f"ended {TRIES} times" in run.failure.message


def test_a_typed_reason_ends_it_at_once_and_is_shown(workshop: Workshop) -> None:
    said = {"kind": "diverged", "message": "the loss diverged", "step": 4, "sources": ["a:7"]}
    workshop.script(training={"exit": 5, "at": 4, "failure": said})
    started = workshop.begin()
    run = workshop.ended(started)
    assert run.state is State.FAILED
    assert workshop.starts("training") == 1
    shown = document(view(started.paths))["failure"]
    assert shown == said | {"hint": ""}


def test_an_end_that_nobody_foresaw_shows_the_last_line_of_the_log(workshop: Workshop) -> None:
    workshop.script(data={"exit": 1})
    run = workshop.ended(workshop.begin())
    assert run.failure is not None
    assert "data fails as it was told to" in run.failure.message
    assert workshop.starts("data") == 1


def test_stop_leaves_a_checkpoint_and_resume_goes_on_from_it(workshop: Workshop) -> None:
    workshop.script(training={"hold": 3})
    started = workshop.begin()
    workshop.held()
    assert _stopped(started.paths) is State.STOPPED
    assert view(started.paths).checkpoint == 3
    started.process.wait(60)
    workshop.script()
    run = workshop.ended(workshop.go_on(started.paths))
    assert run.state is State.SUCCEEDED
    assert run.attempts[-3].at == 3


def test_a_supervisor_that_is_told_to_end_stops_the_run(workshop: Workshop) -> None:
    workshop.script(training={"hold": 1})
    started = workshop.begin()
    workshop.held()
    os.kill(started.process.pid, signal.SIGTERM)
    assert workshop.ended(started).state is State.STOPPED
    assert marked(started.paths.folder) == []


def test_a_run_that_nobody_works_on_is_stopped_too(workshop: Workshop) -> None:
    workshop.script(training={"hold": 1})
    started = workshop.begin()
    workshop.held()
    kill(started.process.pid)
    started.process.wait(60)
    assert _stopped(started.paths) is State.STOPPED
    assert marked(started.paths.folder) == []


def test_a_judged_run_is_neither_stopped_nor_gone_on_with(workshop: Workshop) -> None:
    started = workshop.begin()
    workshop.ended(started)
    assert _stopped(started.paths) is State.SUCCEEDED
    with pytest.raises(InputError, match="succeeded"):
        workshop.go_on(started.paths)


def test_one_of_two_wins_and_the_other_is_told_by_whom(workshop: Workshop) -> None:
    workshop.script(training={"hold": 1})
    started = workshop.begin()
    workshop.held()
    with pytest.raises(BusyError) as caught:
        workshop.begin("two")
    pid = started.process.pid
    assert f"{NAME} is being fine-tuned (run 1) by pid {pid} (" in caught.value.message
    assert "since" in caught.value.message
    assert workshop.named.numbers() == (1,)
    workshop.let_go()
    workshop.ended(started)


def test_the_lock_is_free_at_no_moment_while_it_is_handed_on(workshop: Workshop) -> None:
    workshop.script(model={"hold": 0})
    with Claim(workshop.named, "begun") as claim:
        paths = claim.create({}, "one", "0" * 40)
        with pytest.raises(BusyError):
            workshop.begin("two")
        started = workshop_launch(claim, paths)
        with pytest.raises(BusyError):
            workshop.begin("three")
    with pytest.raises(BusyError):
        workshop.begin("four")
    workshop.held()
    workshop.let_go()
    workshop.ended(started)


def workshop_launch(claim: Claim, paths: RunPaths) -> Any:
    from tests.finetuning.runs.conftest import PROGRAM

    return claim.launch(paths, PROGRAM)


def test_a_run_outlives_the_command_that_began_it(workshop: Workshop) -> None:
    workshop.script(training={"hold": 1})
    code = (
        "import sys; from pathlib import Path; from tests.finetuning.runs.conftest import Workshop;"
        " Workshop(Path(sys.argv[1])).begin()"
    )
    subprocess.run([sys.executable, "-c", code, str(workshop.home)], check=True, timeout=120)
    workshop.held()
    paths = workshop.named.run(1)
    assert view(paths).running
    workshop.let_go()
    until(lambda: view(paths).state == "succeeded", "it did not get to its end")


def test_a_folder_that_was_half_made_is_no_run(workshop: Workshop) -> None:
    (workshop.named.runs / "1.new").mkdir(parents=True)
    assert workshop.named.numbers() == ()
    assert workshop.ended(workshop.begin()).number == 1


CANARY = "canary-5b1e77aa"


def test_what_a_run_leaves_is_private_and_holds_nothing_of_the_environment(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", CANARY)
    started = workshop.begin()
    workshop.ended(started)
    assert stat.S_IMODE(workshop.named.folder.stat().st_mode) == 0o700
    files = [path for path in workshop.named.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    for path in (started.paths.state, started.paths.spec, started.paths.log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_documented_keys_of_status(workshop: Workshop) -> None:
    started = workshop.begin()
    workshop.ended(started)
    seen = json.loads(json.dumps(document(view(started.paths))))
    assert set(seen) == {
        "name", "run", "state", "stage", "step", "steps", "loss", "tokens", "tokens_per_second",
        "learning_rate", "eta_seconds", "checkpoint", "started_at", "updated_at", "ended_at",
        "seconds", "attempts", "failure", "gate", "artefact", "folder", "pid",
    }  # fmt: skip
    assert seen["artefact"] == f"run://{NAME}/1"
    assert seen["eta_seconds"] is None


def test_what_is_told_while_it_trains(workshop: Workshop) -> None:
    workshop.script(training={"hold": 4})
    started = workshop.begin()
    workshop.held()
    flow = follow(started.paths, started.process)
    told = next(flow)
    while "step" not in told.reason:
        told = next(flow)
    assert told.phase == "training"
    assert told.reason == "step 4 of 6, loss 0.750, 100 tokens/s, 0 s left"
    flow.close()
    workshop.let_go()
    workshop.ended(started)


def test_a_damaged_record_is_said_and_not_guessed(workshop: Workshop, tmp_path: Path) -> None:
    started = workshop.begin()
    workshop.ended(started)
    started.paths.state.write_text("{")
    with pytest.raises(Exception, match="damaged"):
        view(started.paths)
