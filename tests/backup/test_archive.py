"""The archive: what goes in comes out, no secret is in clear, and no damaged byte goes unseen."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.errors import InputError
from llmops.saved import Saved
from serving.backup import BackupKey, pack, tree, unpack
from serving.backup.archive import FORMAT, MANIFEST, SEALED
from tests.backup.making import CANARY, state, states, without_secrets

KEY = BackupKey(b"k" * 32)
OTHER = BackupKey(b"o" * 32)
WHERE = "file:///b/one.tar"


def opened(content: bytes, key: BackupKey | None = KEY) -> Saved:
    return unpack(content, WHERE, key)[1]


@settings(max_examples=60)
@given(states)
def test_what_is_packed_with_a_key_is_unpacked_with_it(saved: Saved) -> None:
    assert opened(pack(saved, KEY)) == saved


@settings(max_examples=60)
@given(states)
def test_without_a_key_everything_but_secrets_is_kept(saved: Saved) -> None:
    assert opened(pack(saved, None), None) == without_secrets(saved)
    assert opened(pack(saved, KEY), None) == without_secrets(saved)


@settings(max_examples=30)
@given(states)
def test_one_state_gives_one_archive(saved: Saved) -> None:
    assert pack(saved, None) == pack(saved, None)
    one, other = tree.read(pack(saved, KEY)), tree.read(pack(saved, KEY))
    assert one.pop(SEALED) != other.pop(SEALED)
    assert one == other


@pytest.mark.parametrize("key", [None, KEY])
def test_no_secret_is_in_an_archive_in_clear(key: BackupKey | None) -> None:
    content = pack(state(shared={"tls/key.pem": CANARY}), key)
    assert CANARY.encode() not in content
    assert KEY.raw not in content
    assert CANARY not in repr(state())


def test_every_changed_byte_is_found() -> None:
    """Each byte in turn, in its lowest bit or in all of them; the padding too."""
    content = pack(state(), KEY)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x01 if place % 2 else 0xFF
        with pytest.raises(InputError):
            opened(bytes(changed), None)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_change_of_any_byte_is_found(place: int, flip: int) -> None:
    changed = bytearray(pack(state(), None))
    changed[place % len(changed)] ^= flip
    with pytest.raises(InputError):
        opened(bytes(changed), None)


@given(st.binary(max_size=600))
def test_what_is_no_archive_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(InputError, match="not a backup of llmops"):
        opened(content, None)


def test_an_archive_that_was_cut_off_anywhere_is_refused() -> None:
    content = pack(state(), KEY)
    for end in range(0, len(content), 97):
        with pytest.raises(InputError):
            opened(content[:end])
    with pytest.raises(InputError, match="damaged"):
        opened(content + b"\0" * 512)


def test_the_part_that_is_damaged_is_named() -> None:
    content = pack(state(), None)
    place = content.index(b'"state": "live"') + 10
    changed = content[:place] + b"L" + content[place + 1 :]
    with pytest.raises(InputError, match=r"releases/chat\.json is not what its digest says"):
        opened(changed, None)


def test_a_newer_format_is_told_apart_from_damage() -> None:
    entries = tree.read(pack(state(), None))
    entries[MANIFEST] = json.dumps({"format": FORMAT + 1, "unknown": True}).encode()
    with pytest.raises(InputError, match=f"the format {FORMAT + 1}, and .* reads up to {FORMAT}"):
        opened(tree.write(dict(sorted(entries.items(), key=lambda e: e[0] != MANIFEST))), None)


def test_another_key_is_named_by_its_id() -> None:
    with pytest.raises(InputError, match=f"made with the key {KEY.id}.*this is the key {OTHER.id}"):
        opened(pack(state(), KEY), OTHER)


def test_who_can_write_to_it_but_has_no_key_cannot_change_it_unseen() -> None:
    """Digests can be made anew by anybody; the seal, by the key's holder alone."""
    entries = dict(tree.read(pack(state(), KEY)))
    entries["keys/chat.json"] = entries["keys/chat.json"].replace(b"key-1", b"key-9")
    forged = tree.write(entries)
    opened(forged, None)  # without the key it is an intact archive
    with pytest.raises(InputError, match="something in it was changed"):
        opened(forged)
    del entries[SEALED]
    with pytest.raises(InputError, match="made without a key"):
        opened(tree.write(entries))


def test_a_part_under_another_name_is_refused() -> None:
    entries = dict(tree.read(pack(state(), None)))
    entries["releases/chat.json"] = entries["releases/chat.json"].replace(b'"chat"', b'"other"')
    with pytest.raises(InputError, match="the record of chat is one of other"):
        opened(tree.write(entries), None)


def test_what_would_fill_memory_is_not_unpacked() -> None:
    """A sparse member of a few bytes that says it has terabytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        manifest = json.dumps({"format": FORMAT}).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(manifest)
        tar.addfile(member, io.BytesIO(manifest))
        huge = tarfile.TarInfo("huge")
        huge.type, huge.size = tarfile.GNUTYPE_SPARSE, 0
        tar.addfile(huge)
    with pytest.raises(InputError, match="damaged"):
        opened(output.getvalue(), None)


def test_standard_tools_read_and_check_it(tmp_path: Path) -> None:
    file = tmp_path / "one.tar"
    file.write_bytes(pack(state(), KEY))
    subprocess.run(["tar", "xf", file], cwd=tmp_path, check=True, timeout=30)
    subprocess.run(["sha256sum", "-c", "--quiet", tree.SUMS], cwd=tmp_path, check=True, timeout=30)
    content = (tmp_path / MANIFEST).read_bytes()
    assert hashlib.sha256(content).hexdigest() in (tmp_path / tree.SUMS).read_text()


def test_some_of_its_services_can_be_taken() -> None:
    saved = state()
    assert saved.only(["chat"]) == saved
    assert saved.only([]) == replace(saved, services=())
