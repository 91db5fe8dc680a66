"""The policies of this machine: a real file, and real processes that write it at once."""

from __future__ import annotations

import contextlib
import multiprocessing
import stat
from pathlib import Path

import pytest

from llmops.errors import LlmopsError
from llmops.policies import Shelf
from llmops.releases import Conflict
from serving.local import LocalTarget
from serving.local.policies import FilePolicyStore

TEXT = "kind: Policy\nname: acme\n"
ONE = Shelf().applied("acme", TEXT, 1.0, "ann@laptop")
TWO = ONE.applied("acme", TEXT + "# more\n", 2.0, "ann@laptop")
SPAWN = multiprocessing.get_context("spawn")


def test_a_machine_without_policies_has_an_empty_shelf(tmp_path: Path) -> None:
    assert FilePolicyStore(tmp_path).read() == (Shelf(), "")


def test_what_was_written_is_read_by_the_target(tmp_path: Path) -> None:
    version = FilePolicyStore(tmp_path).write(ONE, "")
    assert LocalTarget(tmp_path).policies.read() == (ONE, version)


def test_the_files_are_private_and_the_version_before_stays(tmp_path: Path) -> None:
    store = FilePolicyStore(tmp_path)
    store.write(TWO, store.write(ONE, ""))
    names = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert set(names.values()) == {0o600}
    assert set(names) == {"policies.json", "policies.json.before", "policies.lock"}


@pytest.mark.parametrize("stale", ["", "0" * 64])
def test_a_writer_that_read_an_older_version_changes_nothing(tmp_path: Path, stale: str) -> None:
    store = FilePolicyStore(tmp_path)
    store.write(ONE, "")
    with pytest.raises(Conflict, match="the record of policies was written by somebody else"):
        store.write(TWO, stale)
    assert store.read()[0] == ONE


@pytest.mark.parametrize("damage", ["", "{", '{"entries": [{"name": "acme"}]}', "\xff"])
def test_a_damaged_file_is_reported_and_never_taken_for_an_empty_one(
    tmp_path: Path, damage: str
) -> None:
    store = FilePolicyStore(tmp_path)
    store.write(ONE, "")
    file = tmp_path / "policies.json"
    file.write_bytes(damage.encode("latin-1"))
    with pytest.raises(LlmopsError, match="is damaged") as caught:
        store.read()
    assert "there is none from before" in caught.value.hint
    (tmp_path / "policies.json.before").write_text("{}")
    with pytest.raises(LlmopsError) as caught:
        store.read()
    assert "look at both" in caught.value.hint


def _apply(home: str, name: str) -> None:
    store = FilePolicyStore(Path(home))
    while True:
        shelf, version = store.read()
        text = f"kind: Policy\nname: {name}\n"
        with contextlib.suppress(Conflict):
            store.write(shelf.applied(name, text, 1.0, "x"), version)
            return


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    names = [f"policy-{number}" for number in range(4)]
    writers = [SPAWN.Process(target=_apply, args=(str(tmp_path), name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    shelf = FilePolicyStore(tmp_path).read()[0]
    assert sorted(entry.name for entry in shelf.entries) == names
