"""`llmops cluster hosts` and `check`, called as a user calls them, on recorded hosts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bare_metal import trees

LLMOPS = Path(sys.executable).with_name("llmops")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hosts: healthy, with a slow port, without its GPUs' driver, and never recorded."""
    into = tmp_path_factory.mktemp("cluster")
    (into / "cluster.yaml").write_text(trees.FILE)
    made = trees.record_all(into / "kept")
    slow = {"/sys/class/infiniband/mlx5_5/ports/1/rate": "200 Gb/sec (4X HDR)\n"}
    trees.spoil(made["su-002"], {"files": slow})
    trees.spoil(
        made["su-003"], {"answers": {"gpus": {"code": 127, "err": "nvidia-smi: not found"}}}
    )
    for name in ("su-002", "su-003"):
        made[name].write(into / "kept" / name)
    (into / "kept" / "su-004").rename(into / "kept" / "other")
    return into


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LLMOPS), "cluster", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_hosts_are_listed_with_what_they_cost(folder: Path) -> None:
    listed = run(folder, "hosts", "list")
    assert listed.returncode == 0
    assert "su-002  su    su-r1  10.0.0.2  10.0.9.2  32.00" in listed.stdout
    assert "4 hosts, 128.00 USD an hour" in listed.stdout
    data = json.loads(run(folder, "hosts", "list", "-o", "json").stdout)
    assert [host["bmc"] for host in data["hosts"]][:2] == ["10.0.9.1", "10.0.9.2"]


def test_facts_say_what_is_unknown_and_who_is_not_there(folder: Path) -> None:
    done = run(folder, "hosts", "facts", "--recorded", "kept")
    assert done.returncode == 4
    assert "gpus     8 x NVIDIA H100 80GB HBM3" in done.stdout
    assert "unknown  gpus (nvidia-smi: not found)" in done.stdout
    assert "su-004: unreachable: nothing was recorded of it in kept" in done.stdout
    data = json.loads(run(folder, "hosts", "facts", "--recorded", "kept", "-o", "json").stdout)
    assert data["hosts"]["su-001"]["memory"]["huge_pages"] == 1024
    assert data["hosts"]["su-003"]["gpus"] == {"unknown": "nvidia-smi: not found"}
    assert "unreachable" in data["hosts"]["su-004"]


def test_a_check_says_which_hosts_it_leaves_out_and_why(folder: Path) -> None:
    done = run(folder, "check", "--recorded", "kept")
    assert done.returncode == 3
    assert "fail: mlx5_5: found 200, expected at least 400  [hca.rate]  [su-002]" in done.stdout
    assert "unknown: nvidia-smi: not found" in done.stdout
    assert "1 of 4 hosts may be given work, 3 left out, which cost 96.00 USD an hour" in done.stdout
    assert "no check has seen the hardware" in done.stdout
    data = json.loads(run(folder, "check", "--recorded", "kept", "-o", "json").stdout)
    assert data["usable"] == ["su-001"]
    assert data["tried_on_hardware"] == []
    assert {row["host"]: row["why"] for row in data["left_out"]}["su-002"] == (
        "mlx5_5: found 200, expected at least 400 [hca.rate]"
    )
    by_name = {host["name"]: host for host in data["hosts"]}
    assert by_name["su-002"]["links"]["mlx5_5"] == "fail"
    assert by_name["su-002"]["links"]["mlx5_4"] == "pass"
    assert set(by_name["su-004"]["links"].values()) == {"unknown"}


@pytest.mark.parametrize(("names", "code"), [(["su-001"], 0), (["su-003"], 4), (["su-002"], 3)])
def test_the_exit_code_says_what_was_found(names: list[str], code: int, folder: Path) -> None:
    assert run(folder, "check", *names, "--recorded", "kept").returncode == code


def test_what_the_user_wrote_wrong_is_told_with_a_way_out(folder: Path) -> None:
    wrong = run(folder, "hosts", "facts", "su-0001", "--recorded", "kept")
    assert wrong.returncode == 2
    assert "expected a host of alpha, found 'su-0001'" in wrong.stderr
    assert "did you mean su-001?" in wrong.stderr
    (folder / "bare.yaml").write_text("kind: Cluster\nname: a\nunits: [{name: su, hosts: 1}]\n")
    bare = run(folder, "hosts", "facts", "-f", "bare.yaml")
    assert bare.returncode == 2
    assert "expected an address for su-001, found none" in bare.stderr
    asked = run(folder, "hosts", "prepare")
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr


def test_a_recording_that_is_none_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "su-001").mkdir()
    (tmp_path / "su-001" / "commands.json").write_text("[1, 2]")
    done = run(folder, "hosts", "facts", "su-001", "--recorded", str(tmp_path))
    assert done.returncode == 2
    assert "expected recorded commands, found something else" in done.stderr


def test_the_checks_are_listed_with_their_sources(folder: Path) -> None:
    listed = run(folder, "check", "--list")
    assert listed.returncode == 0
    assert "hca.rate: at least 400, otherwise fail" in listed.stdout
    assert "by: AZ" in listed.stdout
