"""Where backups lie: a folder, and `s3://` against a real server; `gs://` is the same code."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, LlmopsError
from serving.backup import file_name, place_of
from tests.backup.conftest import BUCKET
from tests.backup.making import CANARY


def test_a_folder_is_made_private_and_so_is_what_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    address = place_of(f"file://{folder}").put("llmops-backup.tar", b"one")
    assert address == f"file://{folder}/llmops-backup.tar"
    assert place_of(address).get() == (address, b"one")
    assert place_of(str(folder / "llmops-backup.tar")).get() == (address, b"one")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "llmops-backup.tar").stat().st_mode) == 0o600


def test_a_name_tells_the_moment_and_the_content() -> None:
    assert file_name(0.9, b"") == "llmops-backup-19700101T000000Z-e3b0c44298fc.tar"
    assert file_name(0.0, b"1") != file_name(0.0, b"2")


def test_the_newest_of_a_folder_is_taken_and_nothing_else_in_it(tmp_path: Path) -> None:
    place = place_of(f"file://{tmp_path}")
    with pytest.raises(InputError, match="there is no backup in"):
        place.get()
    for moment, content in ((100.0, b"old"), (200.0, b"new")):
        place.put(file_name(moment, content), content)
    (tmp_path / "zzz.tar").write_bytes(b"another's")
    (tmp_path / ".llmops-backup-29990101T000000Z-0123456789ab.tar.1.part").write_bytes(b"half")
    assert place.get()[1] == b"new"


def test_a_writer_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LlmopsError, match=r"could not be written \(No space left on device\)"):
        place_of(f"file://{tmp_path}").put("one.tar", b"one")
    assert list(tmp_path.iterdir()) == []


def test_the_next_backup_removes_what_a_killed_writer_left_and_nothing_else(
    tmp_path: Path,
) -> None:
    left, written, young, other = (
        tmp_path / f".llmops-backup-2026010{n}T000000Z-0123456789ab.tar.{n}.part" for n in range(4)
    )
    other = tmp_path / ".somebody-elses.part"
    for file in (left, written, young, other):
        file.write_bytes(b"half")
    for file in (left, written, other):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    link = tmp_path / ".llmops-backup-link.part"
    link.symlink_to(other)
    with written.open() as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        place_of(f"file://{tmp_path}").put("llmops-backup.tar", b"one")
        assert not left.exists()
        assert written.exists(), "another writer is at work on it"
        assert young.exists()
        assert other.exists()
    place_of(f"file://{tmp_path}").put("llmops-backup.tar", b"one")
    assert not written.exists()


def test_what_is_no_place_is_said_with_what_would_be_one() -> None:
    for address in ("", "s3://", "ftp://host/x", "file://relative"):
        with pytest.raises(InputError) as caught:
            place_of(address)
        assert "s3://bucket/prefix" in caught.value.hint
    with pytest.raises(InputError, match="carries credentials") as caught:
        place_of(f"s3://user:{CANARY}@bucket/x")
    assert CANARY not in caught.value.message
    with pytest.raises(InputError, match="does not exist"):
        place_of("file:///nowhere/at/all.tar").get()


def test_a_prefix_of_a_bucket_keeps_backups_too(store: Any) -> None:
    place = place_of(f"s3://{BUCKET}/team/a")
    with pytest.raises(InputError):
        place.get()
    old, new = (file_name(moment, b"x") for moment in (100.0, 200.0))
    assert place.put(old, b"old") == f"s3://{BUCKET}/team/a/{old}"
    assert place.put(new, b"new" * 2**20).endswith(new)
    store.put_object(Bucket=BUCKET, Key="team/a/zzz.tar", Body=b"another's")
    assert place.get() == (f"s3://{BUCKET}/team/a/{new}", b"new" * 2**20)
    assert place_of(f"s3://{BUCKET}/team/a/{old}").get()[1] == b"old"


def test_a_bucket_that_is_not_there_is_told_without_a_credential(store: Any) -> None:
    with pytest.raises(LlmopsError) as caught:
        place_of("s3://another/x").put("one.tar", b"one")
    assert "s3://another/x/one.tar" in caught.value.message
    assert CANARY not in caught.value.message + caught.value.hint


def test_a_store_that_does_not_answer_is_told(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(LlmopsError, match="could not be written"):
        place_of(f"s3://{BUCKET}/x").put("one.tar", b"one")
