"""The verbs of `llmops finetune` over fake programs: what they say, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.app import run
from serving.finetune.runs import launching, view
from tests.finetuning.runs.conftest import NAME, PROGRAM, Workshop, ended, until
from tests.support.tiny_model import make_tiny_model

ROW = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
Said = tuple[int, str, str]
Shell = Callable[..., Said]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def spec(workshop: Workshop, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fine-tune file in a folder of its own; supervisors that are started run fake programs."""
    monkeypatch.setattr(launching, "PROGRAM", PROGRAM)
    folder = workshop.home / "work"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps(ROW) + "\n")
    path = folder / "finetune.yaml"
    path.write_text(
        f"kind: FineTune\nname: {NAME}\nmodel: {{source: 'file://{model}'}}\n"
        "data: {train: [{source: train.jsonl}]}\n"
        "training: {sequence: 64, tokens_per_step: 64, steps: 6}\n"
        "checkpoints: {every: 2}\n"
    )
    return path


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def call(*arguments: str | Path) -> Said:
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as end:
                run(["finetune", *map(str, arguments)])
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
        said = capsys.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 0), said.out, said.err

    return call


def test_a_run_is_watched_to_its_end_and_the_same_again_does_nothing(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    code, out, err = shell("run", "-f", spec, "--yes")
    assert (code, out.splitlines()[0]) == (0, f"{NAME}: run 1 has succeeded"), err
    assert "6 steps of 64 tokens" in err
    assert "training: step" in err or "preparing" in err
    code, out, err = shell("run", "-f", spec, "--yes")
    assert code == 0
    assert "nothing changed since run 1, which has succeeded" in err
    assert workshop.named.numbers() == (1,)
    assert shell("run", "-f", spec, "--yes", "--again")[0] == 0
    assert workshop.named.numbers() == (1, 2)


def test_another_byte_of_data_begins_another_run(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    assert shell("run", "-f", spec, "--yes")[0] == 0
    with (spec.parent / "train.jsonl").open("a") as file:
        file.write(json.dumps(ROW) + "\n")
    code, _, err = shell("run", "-f", spec, "--yes")
    assert code == 0
    assert "spec, data or base have changed since run 1" in err
    assert workshop.named.numbers() == (1, 2)


def test_a_model_that_is_refused_ends_with_three_and_so_does_the_same_again(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    workshop.script(evaluation={"passed": False})
    code, out, err = shell("run", "-f", spec, "--yes")
    assert code == 3
    assert f"{NAME}: run 1 is refused by its gate" in out
    assert f"it is kept, and not served: run://{NAME}/1" in err
    assert shell("run", "-f", spec, "--yes")[0] == 3
    assert workshop.named.numbers() == (1,)


def test_a_failure_ends_with_its_own_code_and_names_the_rows(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    said = {"kind": "diverged", "message": "the loss diverged", "sources": ["train.jsonl:7"]}
    workshop.script(training={"exit": 5, "failure": said})
    code, _, err = shell("run", "-f", spec, "--yes")
    assert code == 5
    assert "run 1 of style failed: the loss diverged; rows of the batch: train.jsonl:7" in err
    code, _, err = shell("run", "-f", spec, "--yes")
    assert code == 5
    assert "nothing changed since run 1, which failed" in err


def test_detached_stopped_and_gone_on_with(workshop: Workshop, spec: Path, shell: Shell) -> None:
    workshop.script(training={"hold": 3})
    code, out, err = shell("run", "-f", spec, "--yes", "--detach", "-o", "json")
    assert code == 0, err
    assert json.loads(out)["run"] == 1
    workshop.held()
    code, _, err = shell("run", "-f", spec, "--yes")
    assert code == 3
    assert f"{NAME} is being fine-tuned (run 1) by pid" in err
    code, out, err = shell("stop", NAME, "--yes")
    assert (code, out) == (0, f"{NAME}: run 1 has stopped\n")
    assert f"to go on from step 3: llmops finetune resume {NAME}" in err
    workshop.script()
    code, out, err = shell("resume", NAME, "--yes")
    assert code == 0, err
    assert "it goes on from the checkpoint of step 3" in err
    code, out, _ = shell("status", NAME)
    assert out.startswith(f"{NAME} run 1: succeeded\n")
    assert shell("resume", NAME, "--yes")[0] == 2


def test_run_goes_on_with_what_was_killed_and_says_what_it_found(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    workshop.script(training={"hold": 3})
    _, out, _ = shell("run", "-f", spec, "--yes", "--detach", "-o", "json")
    workshop.held()
    pid = json.loads(out)["pid"]
    os.kill(pid, signal.SIGKILL)
    paths = workshop.named.run(1)
    until(lambda: not view(paths).running, "it lives")
    assert shell("status", NAME)[1].startswith(f"{NAME} run 1: interrupted, stage training\n")
    workshop.script()
    code, _, err = shell("run", "-f", spec, "--yes")
    assert code == 0, err
    assert "run 1 goes on: run 1 of the same spec, data and base was interrupted" in err
    assert workshop.named.numbers() == (1,)


def test_list_and_logs(workshop: Workshop, spec: Path, shell: Shell) -> None:
    assert json.loads(shell("list", "-o", "json")[1]) == {"runs": []}
    ended(workshop.begin())
    [found] = json.loads(shell("list", "-o", "json")[1])["runs"]
    assert (found["name"], found["run"], found["state"]) == (NAME, 1, "succeeded")
    assert "training goes on from step 0" in shell("logs", NAME)[1]
    assert shell("logs", NAME, "-n", "1", "--follow")[1].count("\n") == 1
    assert shell("logs", NAME, "--run", "7")[0] == 2
    assert shell("status", "nobody")[0] == 2


def test_without_a_terminal_and_without_yes_nothing_is_begun(
    workshop: Workshop, spec: Path, shell: Shell
) -> None:
    for arguments in (("run", "-f", spec), ("stop", NAME), ("resume", NAME)):
        assert shell(*arguments)[0] == 2
    assert workshop.named.numbers() == ()


def test_an_interrupt_ends_the_watching_and_not_the_run(
    workshop: Workshop, spec: Path, tmp_path: Path
) -> None:
    workshop.script(training={"hold": 1})
    code = (
        "import sys; from serving.finetune.runs import launching;"
        f" launching.PROGRAM = {PROGRAM!r};"
        " from cli.app import run; run(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "finetune", "run", "-f", str(spec), "--yes"]
    watching = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        workshop.held()
        assert watching.stderr is not None
        for line in watching.stderr:
            if line.startswith("training"):
                break
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=120)
    finally:
        watching.kill()
    assert watching.returncode == 130
    assert f"run 1 of {NAME} goes on in the background" in said
    paths = workshop.named.run(1)
    assert view(paths).running
    workshop.let_go()
    until(lambda: view(paths).state == "succeeded", "it did not go on")


def test_follow_ends_when_the_run_does(workshop: Workshop, spec: Path, shell: Shell) -> None:
    workshop.script(training={"hold": 1})
    started = workshop.begin()
    workshop.held()
    follower = subprocess.Popen(
        [str(Path(sys.executable).with_name("llmops")), "finetune", "logs", NAME,
         "--follow"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        first = follower.stdout.readline()
        workshop.let_go()
        ended(started)
        rest, _ = follower.communicate(timeout=120)
    finally:
        follower.kill()
    assert "supervisor: run 1 of style ended: succeeded" in first + rest
