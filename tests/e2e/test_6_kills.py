"""Commands and runtimes that are killed, interrupted or raced, with the real engine.

The heavier tier: each test starts an engine several times.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stage import Stage, until

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]


def spec(stage: Stage, model: Path, context: int, **fields: str) -> Path:
    """A spec of the one service here; another context makes another release."""
    section = f"{{source: 'file://{model}', context: {context}}}"
    return stage.spec("struck", "unused", model=section, **fields)


def run_until(process: subprocess.Popen[str], text: str) -> None:
    """Read what the command prints until `text` comes."""
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if text in line:
            return
    raise AssertionError(f"'{text}' never came:\n{''.join(printed)}")


def assert_settled(stage: Stage) -> int:
    """One release serves, and nothing else is there; its number."""
    releases = stage.status("struck")["releases"]
    assert [(r["state"], r["phase"], r["share"]) for r in releases] == [("live", "ready", 100)]
    number: int = releases[0]["number"]
    return number


def recorded(stage: Stage) -> list[dict[str, Any]]:
    """All releases of the service, oldest first."""
    releases: list[dict[str, Any]] = stage.run("history", "struck", "-o", "json").json()["releases"]
    return releases


@pytest.fixture(scope="module")
def key(stage: Stage, model: Path) -> Iterator[str]:
    """A deployed service of these tests' own, and a key of it."""
    done = stage.deploy(spec(stage, model, 500))
    assert done.code == 0, done.text
    yield stage.key("struck", "strikes")
    stage.run("destroy", "struck", "--yes")


@pytest.mark.parametrize(
    ("context", "moment"),
    [
        pytest.param(480, "model: looking at this machine", marks=pytest.mark.long),
        pytest.param(464, "stage: starting a replica", marks=pytest.mark.long),
        (448, "stage: starting the engine's workers"),
        pytest.param(432, "done: stage release", marks=pytest.mark.long),
        (416, "done: verify release"),
        pytest.param(400, "done: shift release", marks=pytest.mark.long),
    ],
)
def test_a_deploy_killed_at_any_step_is_finished_by_the_next(
    stage: Stage, model: Path, key: str, context: int, moment: str
) -> None:
    before = assert_settled(stage)
    path = spec(stage, model, context)
    process = stage.start("deploy", "-f", str(path), "--yes")
    run_until(process, moment)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, "the fault did not land"
    answer = stage.complete("struck", key)
    assert answer.status_code == 200, f"killed at '{moment}', and the service is away"
    done = stage.deploy(path)
    assert done.code == 0, done.text
    assert assert_settled(stage) == before + 1
    assert stage.complete("struck", key).status_code == 200


def test_an_interrupt_takes_back_what_was_begun(stage: Stage, model: Path, key: str) -> None:
    before = assert_settled(stage)
    process = stage.start("deploy", "-f", str(spec(stage, model, 384)), "--yes")
    run_until(process, "stage: importing the engine")
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert assert_settled(stage) == before
    history = recorded(stage)
    assert (history[-1]["state"], history[-1]["reason"]) == ("failed", "interrupted")


def test_a_second_interrupt_ends_at_once_and_the_next_run_clears_up(
    stage: Stage, model: Path, key: str
) -> None:
    before = assert_settled(stage)
    process = stage.start("deploy", "-f", str(spec(stage, model, 368)), "--yes")
    run_until(process, "stage: importing the engine")
    process.send_signal(signal.SIGINT)
    run_until(process, "interrupted")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=30)
    assert time.monotonic() - began < 15
    assert process.returncode == 130
    assert stage.complete("struck", key).status_code == 200
    done = stage.deploy(spec(stage, model, 368))
    assert done.code == 0, done.text
    assert assert_settled(stage) > before


def test_two_deploys_race_and_one_wins(stage: Stage, model: Path, key: str) -> None:
    assert_settled(stage)
    before = len(recorded(stage))
    path = spec(stage, model, 352)
    racers = [stage.start("deploy", "-f", str(path), "--yes") for _ in range(2)]
    printed = [racer.communicate(timeout=420)[0] for racer in racers]
    codes = sorted(racer.returncode for racer in racers)
    assert codes in ([0, 3], [0, 0]), printed
    if codes == [0, 3]:
        loser = next(p for p, racer in zip(printed, racers, strict=True) if racer.returncode)
        assert "is being deployed by pid" in loser
    assert len(recorded(stage)) == before + 1, "the loser made a release too"
    assert assert_settled(stage) == recorded(stage)[-1]["number"]


def test_a_runtime_that_was_killed_comes_back_by_its_record(
    stage: Stage, model: Path, key: str
) -> None:
    before = assert_settled(stage)
    record = next(stage.temporary.glob("llmops-*/host.json"))
    host = psutil.Process(json.loads(record.read_text())["pid"])
    family = [host, *host.children(recursive=True)]
    host.kill()
    until(lambda: not host.is_running(), 30)
    down = stage.status("struck")["releases"]
    assert [r["phase"] for r in down] == ["absent"], "the fault did not land"
    (stage.folder / "struck.yaml").unlink()  # what was live is in the record, and nowhere else
    done = stage.run("runtime", "start", "--yes")
    assert done.code == 0, done.text
    assert assert_settled(stage) == before
    assert stage.complete("struck", key).status_code == 200
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, f"left of the old runtime: {alive}"
    assert gone


def test_recreate_removes_the_old_release_first(stage: Stage, model: Path, key: str) -> None:
    before = assert_settled(stage)
    path = spec(stage, model, 336, maintenance="{strategy: recreate, drain: 5s}")
    process = stage.start("deploy", "-f", str(path), "--yes")
    printed = process.communicate(timeout=420)[0]
    assert process.returncode == 0, printed
    removed = printed.index(f"done: remove release {before}")
    assert removed < printed.index(f"done: stage release {before + 1}")
    assert assert_settled(stage) == before + 1


def test_a_start_that_cannot_succeed_on_an_empty_machine_ends_with_the_cause(model: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home = place / "home"
        home.mkdir(mode=0o700)
        from tests.e2e.stage import free_port

        stage = Stage(home, place, free_port())
        try:
            broken = place / "broken"
            broken.mkdir()
            for file in model.iterdir():
                (broken / file.name).write_bytes(file.read_bytes())
            config = broken / "config.json"
            text = config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
            config.write_text(text)
            done = stage.deploy(stage.spec("broken", f"file://{broken}"))
            assert done.code == 5, done.text
            assert "nothing serves" in done.text
            assert "Traceback" not in done.text
            until(lambda: not stage.processes(), 30)
        finally:
            stage.end()
