"""The key of a backup: private, never overwritten, never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from llmops.errors import InputError
from serving.backup import make_key_file, read_key_file


def test_a_key_is_made_private_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = make_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_key_file(file) == made
    assert make_key_file(tmp_path / "other").id != made.id
    assert made.raw.hex() not in repr(made)
    assert repr(made.raw) not in repr(made)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = make_key_file(file)
    with pytest.raises(InputError, match="never overwritten"):
        make_key_file(file)
    assert read_key_file(file) == made


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    make_key_file(file)
    file.chmod(0o640)
    with pytest.raises(InputError, match="can be read by others") as caught:
        read_key_file(file)
    assert caught.value.hint == f"chmod 600 {file}"


@pytest.mark.parametrize("text", ["", "x", "llmops-backup-key-1 short", "llmops-backup-key-2 x"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(InputError, match="no key of a backup"):
        read_key_file(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_key_file(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be made"):
        make_key_file(tmp_path / "no" / "folder" / "key")
