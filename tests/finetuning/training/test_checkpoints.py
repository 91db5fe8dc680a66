"""Checkpoints are whole or not there; damage is seen, said and never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.finetune.training.checkpoints import Checkpoints, damage, seal


def written(checkpoints: Checkpoints, step: int) -> Path:
    folder = checkpoints.aside / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes([step]) * 1000)
    (folder / "deep" / "state").write_text(f"state of {step}")
    return folder


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    made = Checkpoints(tmp_path / "checkpoints", keep=2)
    made.clear()
    return made


def keep(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.seal(written(checkpoints, step), step)


def test_the_newest_are_kept_and_the_newest_of_them_found(checkpoints: Checkpoints) -> None:
    keep(checkpoints, 1, 2, 30)
    found = checkpoints.newest(pytest.fail)
    assert found is not None
    assert found.step == 30
    assert not checkpoints.path(1).exists()
    assert checkpoints.path(2).exists()


@pytest.mark.parametrize("fault", ["changed", "short", "gone", "no list", "list cut off"])
def test_a_damaged_one_is_put_aside_and_the_one_before_taken(
    checkpoints: Checkpoints, fault: str
) -> None:
    keep(checkpoints, 1, 2)
    folder = checkpoints.path(2)
    if fault == "changed":
        (folder / "deep" / "state").write_text("state of 3")
    elif fault == "short":
        (folder / "weights").write_bytes(b"x")
    elif fault == "gone":
        (folder / "weights").unlink()
    elif fault == "no list":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:40])
    said: list[str] = []
    found = checkpoints.newest(said.append)
    assert found is not None
    assert found.step == 1
    assert "step 2 is damaged" in said[0]
    assert len([path for path in folder.parent.iterdir() if "damaged" in path.name]) == 1


def test_what_a_kill_left_half_written_is_never_taken(checkpoints: Checkpoints) -> None:
    keep(checkpoints, 1)
    written(checkpoints, 2)
    again = Checkpoints(checkpoints.path(1).parent, keep=2)
    found = again.newest(pytest.fail)
    assert found is not None
    assert found.step == 1
    again.clear()
    assert not again.aside.exists()


def test_a_sealed_folder_lists_every_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_text("1")
    seal(tmp_path / "a", tmp_path / "b", {"step": 7})
    told = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert (told["step"], list(told["files"])) == (7, ["one"])
    assert damage(tmp_path / "b") == ""


def test_a_step_that_is_done_again_replaces_its_checkpoint(checkpoints: Checkpoints) -> None:
    keep(checkpoints, 4)
    keep(checkpoints, 4)
    found = checkpoints.newest(pytest.fail)
    assert found is not None
    assert found.step == 4
