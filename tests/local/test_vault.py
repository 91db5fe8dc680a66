"""What opens this machine's doors, kept and put back: files, and who may read them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.saved import Access
from serving.gateway import KeyRing, create_key, list_keys, revoke_key
from serving.local.vault import FileVault

KEYS = "keys.json"


class Machine:
    """A home with a vault, and how often its gateway was told of new keys."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self.keys = home / KEYS
        self.told = 0
        self.vault = FileVault(home, self.keys, self._tell)

    def _tell(self) -> None:
        self.told += 1

    def make(self, name: str, service: str = "chat") -> str:
        return create_key(self.keys, service, name)[1]

    def opens(self, text: str) -> bool:
        return KeyRing(self.keys).find(text) is not None


@pytest.fixture
def old(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "new")


def operator(machine: Machine) -> Path:
    return machine.home / "operator-keys" / "chat"


def with_operator(machine: Machine) -> str:
    text = machine.make("operator")
    operator(machine).parent.mkdir()
    operator(machine).write_text(text)
    return text


def test_keys_go_on_working_on_another_machine(old: Machine, new: Machine) -> None:
    texts = [old.make("a"), old.make("b"), with_operator(old)]
    other = old.make("a", "search")
    revoke_key(old.keys, "chat", "b")
    new.vault.write("chat", old.vault.read("chat"))
    assert [new.opens(text) for text in texts] == [True, False, True]
    assert not new.opens(other)
    assert operator(new).read_text() == texts[2]
    assert stat.S_IMODE(operator(new).stat().st_mode) == 0o600
    assert new.vault.read("chat") == old.vault.read("chat")
    assert new.told == 1


def test_no_text_of_a_key_is_in_its_records(old: Machine) -> None:
    text = old.make("a")
    access = old.vault.read("chat")
    assert text not in access.keys
    assert text.split("-", 2)[2] not in access.keys
    assert "secrets" not in repr(access)


def test_a_second_time_changes_nothing_and_tells_nobody(old: Machine, new: Machine) -> None:
    old.make("a")
    new.vault.write("chat", old.vault.read("chat"))
    before = new.keys.read_bytes()
    new.vault.write("chat", old.vault.read("chat"))
    assert (new.keys.read_bytes(), new.told) == (before, 1)


def test_what_was_revoked_since_stays_revoked(old: Machine) -> None:
    text = old.make("a")
    kept = old.vault.read("chat")
    revoke_key(old.keys, "chat", "a")
    since = old.make("since")
    old.vault.write("chat", kept)
    assert not old.opens(text)
    assert old.opens(since)


def test_what_was_revoked_before_the_backup_is_revoked_where_it_still_opens(
    old: Machine, new: Machine
) -> None:
    text = old.make("a")
    new.vault.write("chat", old.vault.read("chat"))
    revoke_key(old.keys, "chat", "a")
    new.vault.write("chat", old.vault.read("chat"))
    assert not new.opens(text)


def test_the_operators_key_here_is_not_replaced(old: Machine, new: Machine) -> None:
    theirs, ours = with_operator(old), with_operator(new)
    new.vault.write("chat", old.vault.read("chat"))
    assert operator(new).read_text() == ours
    assert [new.opens(ours), new.opens(theirs)] == [True, False]
    assert len(list_keys(new.keys, "chat")) == 1


def test_a_service_without_keys_has_nothing_to_keep(old: Machine, new: Machine) -> None:
    assert old.vault.read("chat") == Access()
    new.vault.write("chat", Access())
    assert not new.keys.exists()
    with pytest.raises(LlmopsError, match="cannot be read"):
        new.vault.write("chat", Access(keys="{}"))
    with pytest.raises(InputError):
        old.vault.read("../chat")


def test_files_of_tls_are_kept_and_put_back_private(old: Machine, new: Machine) -> None:
    folder = old.home / "tls" / "ca"
    folder.mkdir(parents=True)
    (folder / "key.pem").write_bytes(b"\x00secret")
    (folder / "link").symlink_to("/etc/passwd")
    files = old.vault.read_shared()
    assert list(files) == ["tls/ca/key.pem"]
    new.vault.write_shared(files, replace=False)
    put = new.home / "tls" / "ca" / "key.pem"
    assert put.read_bytes() == b"\x00secret"
    assert stat.S_IMODE(put.stat().st_mode) == 0o600
    assert new.vault.read_shared() == files


def test_another_file_of_tls_is_replaced_only_when_told_to(old: Machine, new: Machine) -> None:
    for machine, text in ((old, "old"), (new, "new")):
        (machine.home / "tls").mkdir()
        (machine.home / "tls" / "key.pem").write_text(text)
    files = {**old.vault.read_shared(), "tls/more.pem": "bW9yZQ=="}
    with pytest.raises(RefusedError, match=r"tls/key\.pem: here is another"):
        new.vault.write_shared(files, replace=False)
    assert not (new.home / "tls" / "more.pem").exists()
    new.vault.write_shared(files, replace=True)
    assert (new.home / "tls" / "key.pem").read_text() == "old"


@pytest.mark.parametrize("name", ["tls/../keys.json", "/etc/x", "keys.json", "tls", "releases/x"])
def test_a_name_from_an_archive_reaches_nothing_else(new: Machine, name: str) -> None:
    with pytest.raises(LlmopsError, match="belongs nowhere"):
        new.vault.write_shared({name: "eA=="}, replace=True)
    assert list(new.home.iterdir()) == []
