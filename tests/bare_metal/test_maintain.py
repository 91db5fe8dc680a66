"""What a part takes with it, with what runs on its hosts; and who may take a host out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bare_metal.hosts.connection import Ran, held
from bare_metal.hosts.facts.gpus import PROCESSES, processes
from bare_metal.hosts.operations import AgentWanted
from bare_metal.hosts.operations.agent import UNIT, unit_of
from bare_metal.inventory import hosts_of
from cli.app import app
from llmops.errors import BusyError, InputError, LlmopsError, RefusedError
from llmops.units import Bytes
from tests.bare_metal import trees
from tests.bare_metal.near import NearConnector

GPUS = "4711,anna,40960,python train.py, of two\n4711,anna,20480,python train.py, of two\n"
OURS = "5,llmops,70000,VLLM::EngineCore\n"
LOGIN = "carl     pts/0        2026-11-30 10:00 (10.1.2.3)\n"
WORK: dict[str, dict[str, Mapping[str, object]]] = {
    "su-001": {
        "answers": {
            "gpu_processes": {"out": GPUS + OURS},
            "slurm_steps": {"out": " 9 bob\n"},
            "logins": {"out": LOGIN},
        }
    },
    "su-002": {
        "answers": {"gpu_processes": {"out": OURS}},
        "files": {UNIT: unit_of("10.0.0.2", AgentWanted("worker", "file:///store", "t"))},
    },
    "su-003": {"answers": {"gpu_processes": {"code": 127, "err": "sh: nvidia-smi: not found"}}},
}


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NearConnector:
    """Four hosts: at work for others, at work for llmops, without a driver, and idle."""
    (tmp_path / "cluster.yaml").write_text(trees.FILE)
    for name, tree in trees.record_all(tmp_path / "kept").items():
        trees.spoil(tree, WORK.get(name, {}))
        tree.write(tmp_path / "kept" / name)
    made = NearConnector(tmp_path / "kept")
    monkeypatch.setattr("bare_metal.hosts.connection.connector", lambda *_: made)
    monkeypatch.chdir(tmp_path)
    return made


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["cluster", *arguments])
    assert done.exception is None or isinstance(done.exception, (SystemExit, LlmopsError)), done
    return done


def test_what_runs_on_a_host_is_said_with_whose_it_is(near: NearConnector) -> None:
    said = run("maintain", "su-001", "--preview").stdout
    assert "python train.py, of two (pid 4711) of anna holds 60GiB of its GPUs" in said
    assert "a step of a Slurm job (pid 9 of bob)" in said
    assert "carl on pts/0 is logged in" in said
    assert "EngineCore" not in said, "what llmops serves is moved, and is no work of others"
    assert not near.changed


def test_of_a_switch_every_host_that_it_touches_is_told_of(near: NearConnector) -> None:
    near.silent = frozenset(("su-004",))
    done = run("maintain", "leaf-su-r1")
    assert done.exit_code == 0, done.output
    assert "su-002: it serves for file:///store, as its worker" in done.stdout
    assert "su-001: python train.py" in done.stdout
    assert "what runs on su-003 is not all known: who holds its GPUs: sh: nvidia-smi" in done.stdout
    assert "what runs on su-004 is not all known: it does not answer" in done.stdout
    work = json.loads(run("maintain", "leaf-su-r1", "-o", "json").stdout)["work"]
    assert work["su-002"]["served"] == "worker"
    assert len(work["su-001"]["others"]) == 3
    recorded = run("maintain", "leaf-su-r1", "--recorded", "kept")
    assert "su-001: python train.py" in recorded.stdout


def test_a_way_that_is_none_leaves_the_rest_told(
    near: NearConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise InputError("access.key: it cannot be read")

    monkeypatch.setattr("bare_metal.hosts.connection.connector", none)
    said = run("maintain", "leaf-su-r1").stdout
    assert "rail 1 of su: lost by su-001" in said
    assert "not all known: access.key: it cannot be read" in said
    assert not near.changed


def test_a_host_where_others_work_is_not_taken_out_unless_told_why(near: NearConnector) -> None:
    error = run("maintain", "su-001", "--yes").exception
    assert isinstance(error, RefusedError)
    assert error.message.startswith("su-001 is at work for others: python train.py, of two (pid")
    assert "--despite-work WHY" in error.hint
    assert not near.changed
    assert isinstance(
        run("maintain", "su-001", "--yes", "--despite-work", " ").exception, InputError
    )
    told = run("maintain", "su-001", "--yes", "--despite-work", "anna knows")
    assert "whoever works there is disturbed: anna knows" in told.stderr
    assert {host for host, _ in near.changed} == {"su-001"}


def test_a_host_that_nobody_else_works_on_is_taken_out(near: NearConnector) -> None:
    run("maintain", "su-003", "--yes")
    assert {host for host, _ in near.changed} == {"su-003"}


@pytest.mark.parametrize(
    "verb", [("hosts", "prepare"), ("maintain", "su-004"), ("maintain", "su-004", "--end")]
)
def test_a_host_that_somebody_changes_is_left_alone(
    verb: tuple[str, ...], near: NearConnector
) -> None:
    with held(hosts_of(trees.cluster())[3:], near, "set up for a service"):
        error = run(*verb, "--yes").exception
    assert isinstance(error, BusyError), error
    assert error.message.startswith("su-004 is being set up for a service by pid "), error.message
    assert not near.changed


def test_a_look_at_what_would_be_done_needs_no_lock(near: NearConnector) -> None:
    with held(hosts_of(trees.cluster()), near, "prepared"):
        assert run("hosts", "prepare", "--preview").exit_code in (0, 3)
        assert run("maintain", "su-004", "--preview").exit_code == 0


@pytest.mark.parametrize("text", ["12,anna\n", "x,anna,1,python\n"])
def test_an_answer_of_another_form_is_none(text: str) -> None:
    with pytest.raises(Exception, match="expected a process on a GPU"):
        processes(Ran(0, text))


def test_the_driver_and_the_kernel_are_asked_together(tmp_path: Path) -> None:
    """The real script, over a driver that prints as its manual says."""
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho '1, 40960, /opt/a, b'\necho '1, [N/A], x'\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", PROCESSES], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    (one,) = processes(Ran(0, done.stdout))
    assert (one.pid, one.user, one.memory) == (1, "root", Bytes(40960 * 2**20))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    failed = subprocess.run(["sh", "-c", PROCESSES], env={"PATH": path}, check=False)
    assert failed.returncode == 9
