"""The store of this machine: real files, real processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from llmops import workflow
from llmops.errors import InputError, LlmopsError
from llmops.releases import Conflict, History, State
from serving.local.store import FileReleaseStore
from tests.releases.plans import SERVICE, make_deployment, plan_of, release
from tests.releases.simulated import SimulatedTarget, run

SPAWN = multiprocessing.get_context("spawn")
ONE = History(SERVICE, (release(1, State.LIVE),))


def test_a_service_without_a_record_has_an_empty_history(tmp_path: Path) -> None:
    store = FileReleaseStore(tmp_path / "releases")
    assert store.read(SERVICE) == (History(SERVICE), "")
    assert store.services() == ()


def test_what_was_written_is_read_by_another_store(tmp_path: Path) -> None:
    version = FileReleaseStore(tmp_path).write(ONE, "")
    assert FileReleaseStore(tmp_path).read(SERVICE) == (ONE, version)
    assert FileReleaseStore(tmp_path).services() == (SERVICE,)


def test_the_records_are_private(tmp_path: Path) -> None:
    store = FileReleaseStore(tmp_path / "releases")
    store.write(ONE, store.write(ONE, ""))
    assert stat.S_IMODE((tmp_path / "releases").stat().st_mode) == 0o700
    for file in (tmp_path / "releases").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize("stale", ["", "0" * 64])
def test_a_writer_that_read_an_older_version_changes_nothing(tmp_path: Path, stale: str) -> None:
    store = FileReleaseStore(tmp_path)
    store.write(ONE, "")
    with pytest.raises(Conflict):
        store.write(replace(ONE, releases=()), stale)
    assert store.read(SERVICE)[0] == ONE


def test_a_record_that_was_deleted_is_not_written_from_memory(tmp_path: Path) -> None:
    store = FileReleaseStore(tmp_path)
    version = store.write(ONE, "")
    (tmp_path / f"{SERVICE}.json").unlink()
    with pytest.raises(Conflict):
        store.write(ONE, version)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"{", b"{}", b"\0" * 500])
def test_a_damaged_record_is_reported_with_the_one_before_it(tmp_path: Path, damage: bytes) -> None:
    store = FileReleaseStore(tmp_path)
    first = store.write(ONE, "")
    two = ONE.with_release(release(2, State.STAGING))
    store.write(two, first)
    file = tmp_path / f"{SERVICE}.json"
    file.write_bytes(damage)
    with pytest.raises(LlmopsError, match="damaged") as caught:
        store.read(SERVICE)
    assert str(file) in caught.value.message
    backup = tmp_path / f"{SERVICE}.json.before"
    assert str(backup) in caught.value.hint
    with pytest.raises(Conflict):
        store.write(ONE, "")
    backup.replace(file)
    assert store.read(SERVICE)[0] == ONE


def test_a_damaged_first_record_promises_no_backup(tmp_path: Path) -> None:
    (tmp_path / f"{SERVICE}.json").write_text("{")
    with pytest.raises(LlmopsError) as caught:
        FileReleaseStore(tmp_path).read(SERVICE)
    assert ".before" not in caught.value.hint


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "A", "a\0b", "x" * 41, "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no name of a service"):
        FileReleaseStore(tmp_path).read(name)


def test_the_flow_goes_on_over_records_that_were_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SimulatedTarget()
    monkeypatch.setattr(world, "store", FileReleaseStore(tmp_path))

    def deployed(source: str) -> bool:
        flow = workflow.deploy(world, make_deployment(source), planner=plan_of)
        return run(flow)[1].changed

    assert [deployed(source) for source in ("a", "a", "b", "b")] == [True, False, True, False]
    assert run(workflow.rollback(world, SERVICE))[1].changed
    assert not deployed("a"), "what was read back is not the same plan"
    world.gap_allowed = True
    run(workflow.destroy(world, SERVICE))
    states = [r.state.value for r in FileReleaseStore(tmp_path).read(SERVICE)[0].releases]
    assert states == ["retired"] * 3


def _append(root: Path, worker: int, count: int) -> None:
    """Add `count` releases, each by compare-and-swap against whoever else writes."""
    store = FileReleaseStore(root)
    for _ in range(count):
        while True:
            history, version = store.read(SERVICE)
            new = release(history.next_number, State.FAILED, reason=str(worker))
            with contextlib.suppress(Conflict):
                store.write(history.with_release(new), version)
                break


def test_parallel_writers_lose_no_write_and_give_out_no_number_twice(tmp_path: Path) -> None:
    workers = [SPAWN.Process(target=_append, args=(tmp_path, w, 15)) for w in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    written = FileReleaseStore(tmp_path).read(SERVICE)[0].releases
    assert [r.number for r in written] == list(range(1, 46))
    assert {r.reason: sum(o.reason == r.reason for o in written) for r in written} == {
        "0": 15,
        "1": 15,
        "2": 15,
    }


def test_a_writer_killed_at_any_moment_leaves_a_whole_record(tmp_path: Path) -> None:
    store = FileReleaseStore(tmp_path)
    highest = 0
    for _ in range(3):
        worker = SPAWN.Process(target=_append, args=(tmp_path, 0, 10_000))
        worker.start()
        while len(store.read(SERVICE)[0].releases) < highest + 5:
            assert worker.is_alive()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(30)
        assert worker.exitcode == -signal.SIGKILL
        numbers = [r.number for r in store.read(SERVICE)[0].releases]
        assert numbers == list(range(1, len(numbers) + 1))
        highest = len(numbers)
    _append(tmp_path, 1, 1)
    assert len(store.read(SERVICE)[0].releases) == highest + 1
