"""The cache: private, tolerant of what it finds, and never showing half a model."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmops.errors import ModelError
from serving.models import Models
from tests.models.making import contents_of, have, left_over, model_files, visible
from tests.support.hub import HubServer

SOURCE = "hf://acme/tiny"


def test_the_cache_and_all_in_it_is_the_users_own(
    hub: HubServer, models: Models, root: Path
) -> None:
    previous = os.umask(0o002)
    try:
        hub.publish("acme/tiny", model_files())
        have(models, SOURCE)
    finally:
        os.umask(previous)
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        allowed = 0o700 if path.is_dir() else 0o600
        assert mode & ~allowed == 0, f"{path} has mode {mode:o}, at most {allowed:o} is meant"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o1777, 0o701])
def test_a_directory_that_others_can_use_is_refused(root: Path, mode: int) -> None:
    root.mkdir()
    root.chmod(mode)
    with pytest.raises(ModelError, match="can be used by others") as caught:
        Models(root)
    assert caught.value.hint == f"chmod 700 {root}"
    root.chmod(0o700)
    Models(root)


def test_a_directory_of_another_user_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir(mode=0o700)
    if root.stat().st_uid == 0:
        os.chown(root, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ModelError, match="can be used by others"):
        Models(root)


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be made: Not a directory") as caught:
        Models(tmp_path / "file" / "cache")
    assert "LLMOPS_HOME" in caught.value.hint


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", '{"source": 1}', "\x00\xff"])
def test_an_entry_with_a_damaged_record_is_had_anew(
    hub: HubServer, models: Models, root: Path, record: str
) -> None:
    hub.publish("acme/tiny", model_files())
    directory = have(models, SOURCE)
    (directory.parent / "model.json").write_text(record)
    assert list(models.cached()) == []
    assert contents_of(have(models, SOURCE)) == model_files()
    assert len(list(models.cached())) == 1
    assert left_over(root) == []


def test_each_model_is_listed_with_its_size(hub: HubServer, models: Models) -> None:
    hub.publish("acme/tiny", model_files())
    hub.publish("acme/other", model_files(seed=4, shards=1))
    have(models, SOURCE)
    have(models, "hf://acme/other")
    sizes = {found.source: found.bytes for found in models.cached()}
    assert sizes == {
        SOURCE: sum(map(len, model_files().values())),
        "hf://acme/other": sum(map(len, model_files(seed=4, shards=1).values())),
    }


def test_what_was_left_of_another_revision_goes_when_the_model_is_had(
    hub: HubServer, models: Models, root: Path
) -> None:
    hub.publish("acme/tiny", model_files())
    family = have(models, SOURCE).parents[1]
    stale = family / ("0" * 40 + ".part")
    stale.mkdir()
    (stale / "half").write_bytes(b"a killed command's")
    hub.publish("acme/tiny", model_files(seed=2))
    have(models, SOURCE)
    assert left_over(root) == []
    assert len(visible(root)) == 2, "a model that releases may still use was removed"


@pytest.mark.parametrize("revision", ["main", "", "../../etc", "0" * 39, "G" * 40, "0" * 65])
def test_only_a_revision_that_was_looked_up_names_an_entry(models: Models, revision: str) -> None:
    with pytest.raises(ModelError, match="is not the revision of a model"):
        models.path(SOURCE, revision)
    with pytest.raises(ModelError, match="is not the revision of a model"):
        next(models.ensure(SOURCE, revision))


def test_two_addresses_never_share_an_entry(hub: HubServer, models: Models, root: Path) -> None:
    for name in ("acme/tiny.one", "acme/tiny-one", "acme/tiny_one"):
        hub.publish(name, model_files(shards=1))
        have(models, f"hf://{name}")
    assert len(list(models.cached())) == 3
    assert len({path.parent for path in visible(root)}) == 3
