"""What opens a namespace's doors, kept and put back: Secrets."""

from __future__ import annotations

import pytest

from clusters.secrets import SecretKeys
from clusters.vault import SecretVault
from llmops.errors import InputError, RefusedError, TargetError
from llmops.saved import Access
from tests.clusters.fake_api import FakeApi

NOW = 1_800_000_000.0
WHERE = {"context": "kind", "namespace": "ai"}


def place(api: FakeApi) -> tuple[SecretKeys, SecretVault]:
    keys = SecretKeys(api, "ai", lambda: NOW)
    return keys, SecretVault(keys, WHERE)


def test_keys_go_on_working_in_another_cluster() -> None:
    old, vault = place(FakeApi())
    old.ensure("chat")
    made, text = old.create("chat", "team-a")
    old.create("chat", "team-b")
    old.revoke("chat", "team-b")
    kept = vault.read("chat")
    assert text not in kept.keys
    new, other = place(FakeApi())
    other.write("chat", kept)
    assert new.list("chat") == old.list("chat")
    assert made in new.list("chat")
    assert new.operator_key("chat") == old.operator_key("chat")
    new.ensure("chat")  # finds llmops' own key as it should be, and makes none
    assert new.list("chat") == old.list("chat")
    assert other.read("chat") == kept


def test_a_second_time_writes_nothing() -> None:
    api = FakeApi()
    keys, vault = place(api)
    keys.create("chat", "team-a")
    kept = vault.read("chat")
    before = api.writes
    vault.write("chat", kept)
    vault.write("chat", Access())
    assert api.writes == before


def test_what_was_revoked_since_stays_revoked() -> None:
    keys, vault = place(FakeApi())
    keys.create("chat", "team-a")
    kept = vault.read("chat")
    keys.revoke("chat", "team-a")
    vault.write("chat", kept)
    [key] = keys.list("chat")
    assert key.revoked_at == NOW


def test_what_is_not_of_a_cluster_is_refused() -> None:
    _, vault = place(FakeApi())
    assert vault.read("chat") == Access()
    assert vault.read_shared() == {}
    vault.write_shared({}, replace=False)
    with pytest.raises(RefusedError, match="files of a machine"):
        vault.write_shared({"tls/key.pem": ""}, replace=True)
    with pytest.raises(TargetError, match="cannot be read"):
        vault.write("chat", Access(keys="[]"))
    with pytest.raises(InputError):
        vault.read("../chat")
