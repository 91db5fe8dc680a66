"""`llmops cluster fabric`, called as a user calls it, on answers that were kept."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bare_metal.asking import store
from tests.bare_metal.faults import Spoiled, plan_of

LLMOPS = Path(sys.executable).with_name("llmops")
FILE = """\
kind: Cluster
name: alpha
fabric: {link: 4xHDR, radix: 16}
units: [{name: su, count: 2, hosts: 7}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(FILE)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(LLMOPS), "cluster", "fabric", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_plan_is_told_with_its_reasons_and_as_data(folder: Path) -> None:
    done = run(folder, "plan")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "alpha: 14 hosts in 2 units, 8 rails, 4xHDR"
    assert "8 uplinks of a leaf" in done.stdout
    data = json.loads(run(folder, "plan", "-o", "json").stdout)
    assert (data["leaves"], data["spines"], data["levels"]) == (16, 8, 2)


def test_forms_are_written_to_standard_output_or_a_file(folder: Path) -> None:
    printed = run(folder, "render", "cables")
    assert printed.stdout.startswith("cable,link,from_rack,")
    assert run(folder, "render", "cables", "--out", "cables.csv").stdout == ""
    assert (folder / "cables.csv").read_text() == printed.stdout
    assert run(folder, "plot", "--out", "no/where.svg").returncode == 2
    assert run(folder, "plot").stdout.startswith("<svg ")


def test_a_swapped_cable_is_told_with_its_two_ends(folder: Path) -> None:
    spoiled = Spoiled(plan_of(2, 7, 16), random.Random(1))
    one, other = spoiled.plan.cables[0], spoiled.plan.cables[9]
    spoiled._join(one.low, other.high)
    spoiled._join(other.low, one.high)
    store(spoiled.dump(), folder / "dump")
    done = run(folder, "verify", "--dump", "dump")
    assert done.returncode == 3
    assert "su1-001 mlx5_0 port 1 in rack su1-r1 leads to leaf-su1-r2 port 2" in done.stdout
    assert "alpha: fail; 1 fault," in done.stdout
    data = json.loads(run(folder, "verify", "--dump", "dump", "-o", "json").stdout)
    assert data["verdict"] == "fail"
    assert data["faults"][0]["id"] == "fabric.rail-swap"


def test_a_healthy_fabric_ends_with_nought_and_an_empty_answer_with_four(folder: Path) -> None:
    spoiled = Spoiled(plan_of(2, 7, 16), random.Random(1))
    store(spoiled.dump(), folder / "good")
    assert run(folder, "verify", "--dump", "good").returncode == 0
    (folder / "good" / "ibqueryerrors.txt").write_text("")
    unknown = run(folder, "verify", "--dump", "good")
    assert unknown.returncode == 4
    assert "an empty answer is not a healthy one" in unknown.stdout


def test_what_is_not_there_is_told_with_a_hint(folder: Path) -> None:
    missing = run(folder, "verify", "--dump", "nowhere")
    assert missing.returncode == 2
    assert "nowhere/ibnetdiscover.txt: expected a file, found none" in missing.stderr
    wrong = run(folder, "plan", "-f", "other.yaml")
    assert wrong.returncode == 2
    (folder / "bad.yaml").write_text("kind: Cluster\nname: a\nunits: [{name: su, hosts: 40}]\n")
    bad = run(folder, "plan", "-f", "bad.yaml")
    assert bad.returncode == 2
    assert "bad.yaml:3:27: units[0].hosts: expected at most 32" in bad.stderr
