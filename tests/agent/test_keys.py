"""The store's keys, as the machine's gateways have them."""

from __future__ import annotations

from pathlib import Path

from serving.agent.keys import edit_keys, read_keys
from serving.agent.seat import key as seat_key
from serving.agent.vault import BlobVault
from serving.gateway import OPERATOR, KeyRing, KeySet, adopt_keys, create_key, make_key
from tests.agent.worlds import MemoryBlobs, error_of


def test_a_machine_has_the_stores_keys_and_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    _, own = create_key(file, "chat", OPERATOR)
    _, stray = create_key(file, "chat", "stray")
    made, text = make_key("team-a", 1.0)
    wanted = KeySet().add("chat", made)
    assert adopt_keys(file, wanted)
    ring = KeyRing(file)
    assert ring.find(own) is not None
    assert ring.find(text) is not None
    assert ring.find(stray) is None, "what the store does not have opens nothing"
    version = ring.version
    assert not adopt_keys(file, wanted), "the second time changes nothing"
    assert KeyRing(file).version == version


def test_a_key_that_was_rotated_or_revoked_there_is_so_here(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made, text = make_key("team-a", 1.0)
    keys = KeySet().add("chat", made)
    adopt_keys(file, keys)
    rotated, (_, second) = keys.rotate("chat", "team-a", 2.0, overlap=10.0)
    adopt_keys(file, rotated)
    assert KeyRing(file, clock=lambda: 5.0).find(text) is not None
    assert KeyRing(file, clock=lambda: 13.0).find(text) is None
    assert KeyRing(file, clock=lambda: 13.0).find(second) is not None
    adopt_keys(file, rotated.revoke("chat", "team-a", 3.0)[0])
    assert KeyRing(file, clock=lambda: 5.0).find(second) is None


def test_a_store_has_no_key_of_a_machines_own(tmp_path: Path) -> None:
    made, text = make_key(OPERATOR, 1.0)
    file = tmp_path / "keys.json"
    adopt_keys(file, KeySet().add("chat", made))
    assert KeyRing(file).find(text) is None, "who writes to the store does not become the operator"


def test_two_edits_at_once_both_hold() -> None:
    blobs = MemoryBlobs()
    one, two = make_key("one", 1.0)[0], make_key("two", 2.0)[0]
    once = [True]

    def slow(before: KeySet) -> KeySet:
        if once.pop() if once else False:
            edit_keys(blobs, lambda held: held.add("chat", two))
        return before.add("chat", one)

    edit_keys(blobs, slow)
    assert {key.name for key in read_keys(blobs)[0].of("chat")} == {"one", "two"}


def test_damaged_keys_are_not_guessed() -> None:
    blobs = MemoryBlobs()
    blobs.put("keys.json", b"{}", "")
    assert "are damaged" in error_of(read_keys, blobs).message


def test_a_backup_has_hashes_and_puts_back_what_is_missing() -> None:
    blobs, other = MemoryBlobs(), MemoryBlobs()
    made, text = make_key("team-a", 1.0)
    edit_keys(blobs, lambda held: held.add("chat", made))
    access = BlobVault(blobs).read("chat")
    assert text.split("-", 2)[2] not in access.keys
    BlobVault(other).write("chat", access)
    assert read_keys(other)[0].of("chat") == (made,)
    error = error_of(BlobVault(other).write_shared, {"tls/key.pem": "x"}, replace=True)
    assert "holds no secrets of a machine" in error.message


class Keys:
    """Makes keys that open something until they are taken away."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.gone: set[str] = set()

    def create(self, _service: str, name: str) -> tuple[object, str]:
        key, text = make_key(name, 1.0)
        self.made.append(key.id)
        return key, text

    def opens(self, _service: str, identifier: str) -> bool:
        return identifier in self.made and identifier not in self.gone


def test_a_users_own_key_is_kept_private_and_made_anew_when_it_opens_nothing(
    tmp_path: Path,
) -> None:
    keys = Keys()
    first = seat_key(tmp_path, "s3://b/x", "chat", keys)  # type: ignore[arg-type]
    assert seat_key(tmp_path, "s3://b/x", "chat", keys) == first  # type: ignore[arg-type]
    assert seat_key(tmp_path, "s3://b/y", "chat", keys) != first  # type: ignore[arg-type]
    [file] = [f for f in (tmp_path / "agent-keys").rglob("chat") if f.read_text() == first]
    assert file.stat().st_mode & 0o077 == 0
    keys.gone.add(keys.made[0])
    assert seat_key(tmp_path, "s3://b/x", "chat", keys) != first  # type: ignore[arg-type]
