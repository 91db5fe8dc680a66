"""The secrets of a service in a cluster: made once, edited by many, told to nobody."""

from __future__ import annotations

import base64
import json
import re
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from clusters.model import Manifest
from clusters.secrets import SecretKeys
from llmops.errors import InputError, LlmopsError, TargetError
from llmops.releases import Conflict
from serving.gateway import KeyRing
from tests.clusters.fake_api import FakeApi

NOW = 1_800_000_000.0


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def keys(api: FakeApi) -> SecretKeys:
    return SecretKeys(api, "ai", lambda: NOW)


def secret(api: FakeApi, name: str) -> Manifest:
    found = api.get("Secret", name, "ai")
    assert found is not None, name
    return found


def entry(api: FakeApi, name: str, key: str) -> str:
    return base64.b64decode(secret(api, name)["data"][key]).decode()


def set_entry(api: FakeApi, name: str, key: str, value: str) -> None:
    def change(found: Manifest) -> None:
        found["data"][key] = value

    api.edit("Secret", name, "ai", change)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_gateway_that_mounts_the_secret_knows_the_keys(
    api: FakeApi, keys: SecretKeys, tmp_path: Path
) -> None:
    made, text = keys.create("chat", "team-a")
    _, gone = keys.create("chat", "team-b")
    keys.revoke("chat", "team-b")
    file = tmp_path / "keys.json"
    file.touch(mode=0o400)
    file.chmod(0o600)
    file.write_text(entry(api, "chat-keys", "keys.json"))
    ring = KeyRing(file, mounted=True)
    service, key = ring.find(text) or ("", None)
    assert (service, key and key.id) == ("chat", made.id)
    assert ring.find(gone) is None
    assert ring.version == keys.version("chat")


def test_the_text_of_a_key_is_in_no_object(api: FakeApi, keys: SecretKeys) -> None:
    _, text = keys.create("chat", "team-a")
    kept = json.dumps(list(api.objects.values())) + entry(api, "chat-keys", "keys.json")
    assert text not in kept
    assert text.split("-", 2)[2] not in kept


def test_keys_are_listed_revoked_ones_too(keys: SecretKeys) -> None:
    assert keys.list("chat") == ()
    first, _ = keys.create("chat", "team-a")
    second, _ = keys.create("chat", "team-b")
    revoked = keys.revoke("chat", first.id)
    assert keys.list("chat") == (revoked, second)
    assert (revoked.id, revoked.revoked_at) == (first.id, NOW)


def test_a_name_is_used_once_until_it_is_revoked(api: FakeApi, keys: SecretKeys) -> None:
    keys.create("chat", "team-a")
    with pytest.raises(InputError, match="has a key named 'team-a'"):
        keys.create("chat", "team-a")
    with pytest.raises(InputError, match="cannot be a key's name"):
        keys.create("chat", "a b")
    with pytest.raises(InputError, match="has no key 'team-c'"):
        keys.revoke("chat", "team-c")
    with pytest.raises(InputError, match="llmops' own key"):
        keys.create("chat", "operator")
    assert api.writes == 1


def test_a_key_is_rotated_with_an_overlap_in_the_secret(
    api: FakeApi, keys: SecretKeys, tmp_path: Path
) -> None:
    _, old = keys.create("chat", "team-a", expires_at=NOW + 5000.0, models=("chat", "other"))
    info, new = keys.rotate("chat", "team-a", overlap=60.0)
    assert (info.name, info.expires_at, info.models) == ("team-a", NOW + 5000.0, ("chat", "other"))
    first, second = keys.list("chat")
    assert (first.expires_at, second.id) == (NOW + 60.0, info.id)
    file = tmp_path / "keys.json"
    file.touch(mode=0o600)
    file.write_text(entry(api, "chat-keys", "keys.json"))
    at = [NOW]
    ring = KeyRing(file, mounted=True, clock=lambda: at[0])
    for later, opens in ((0.0, True), (59.0, True), (60.0, False)):
        at[0] = NOW + later
        assert (ring.find(old) is not None) is opens
        assert ring.find(new) is not None
    with pytest.raises(InputError, match="own key"):
        keys.rotate("chat", "operator", overlap=1.0)
    with pytest.raises(InputError, match="has no key 'team-b'"):
        keys.rotate("chat", "team-b", overlap=1.0)


def test_the_version_changes_with_every_change_even_when_the_secret_was_deleted(
    api: FakeApi,
) -> None:
    now = NOW
    keys = SecretKeys(api, "ai", lambda: now)
    seen = [keys.version("chat")]
    keys.create("chat", "team-a")
    seen.append(keys.version("chat"))
    keys.revoke("chat", "team-a")
    seen.append(keys.version("chat"))
    api.delete("Secret", "chat-keys", "ai")
    now += 60
    keys.create("chat", "team-a")
    seen.append(keys.version("chat"))
    assert len(set(seen)) == len(seen), seen
    assert keys.version("chat") == seen[-1], "it changes by itself"


def test_every_secret_has_our_labels_and_what_others_put_there_stays(
    api: FakeApi, keys: SecretKeys
) -> None:
    keys.ensure("chat")
    api.edit("Secret", "chat-keys", "ai", lambda s: s["metadata"]["labels"].update({"team": "a"}))
    keys.create("chat", "team-a")
    assert {name for _, _, name in api.objects} == {
        "chat-keys", "chat-operator-key", "chat-ray-token",
    }  # fmt: skip
    for found in api.objects.values():
        assert found["type"] == "Opaque"
        assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "llmops"
        assert found["metadata"]["labels"]["llmops/service"] == "chat"
    assert secret(api, "chat-keys")["metadata"]["labels"]["team"] == "a"


def test_writers_at_the_same_time_lose_no_key(api: FakeApi) -> None:
    def write(name: str) -> None:
        for number in range(4):
            SecretKeys(api, "ai").create("chat", f"{name}-{number}")

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    names = sorted(key.name for key in SecretKeys(api, "ai").list("chat"))
    assert names == sorted(f"{name}-{number}" for name in "abc" for number in range(4))


@pytest.mark.parametrize("use", ["create", "ensure"])
def test_a_writer_that_is_always_overtaken_gives_up(
    api: FakeApi, keys: SecretKeys, use: str
) -> None:
    def lose() -> None:
        raise Conflict("too late")

    keys.ray_token("chat")
    api.before_write = lose
    with pytest.raises(TargetError, match="written by others all the time"):
        keys.create("chat", "team-a") if use == "create" else keys.ensure("chat")


# llmops' own key


def own_key(keys: SecretKeys) -> str:
    text = keys.operator_key("chat")
    assert text is not None
    return text


def test_the_operators_key_is_made_once(api: FakeApi, keys: SecretKeys) -> None:
    assert keys.operator_key("chat") is None
    assert not api.objects, "who only looks has changed something"
    keys.ensure("chat")
    text, version, before = own_key(keys), keys.version("chat"), api.writes
    keys.ensure("chat")
    assert (own_key(keys), keys.version("chat")) == (text, version)
    assert api.writes == before, "the second time changed something"
    assert entry(api, "chat-operator-key", "key") == text
    assert [key.name for key in keys.list("chat")] == ["operator"]


@pytest.mark.parametrize("lost", ["deleted", "emptied", "revoked", "another", "keys deleted"])
def test_an_operators_key_that_opens_nothing_is_made_anew(
    api: FakeApi, keys: SecretKeys, lost: str
) -> None:
    keys.ensure("chat")
    text = own_key(keys)
    if lost == "deleted":
        api.delete("Secret", "chat-operator-key", "ai")
    elif lost == "emptied":
        api.edit("Secret", "chat-operator-key", "ai", lambda found: found.pop("data"))
        assert keys.operator_key("chat") is None
    elif lost == "revoked":
        keys.revoke("chat", "operator")
    elif lost == "another":
        set_entry(api, "chat-operator-key", "key", encoded("llmops-x"))
    else:
        api.delete("Secret", "chat-keys", "ai")
    keys.ensure("chat")
    again = own_key(keys)
    assert again != text
    keys.ensure("chat")
    assert own_key(keys) == again
    assert sum(key.revoked_at is None for key in keys.list("chat")) == 1


def test_a_crash_between_two_writes_is_mended_by_the_next_run() -> None:
    def crash_at(write: int) -> Callable[[], None]:
        left = iter(range(write))

        def crash() -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        return crash

    for write in range(3):
        api = FakeApi()
        keys = SecretKeys(api, "ai")
        api.before_write = crash_at(write)
        with pytest.raises(KeyboardInterrupt):
            keys.ensure("chat")
        api.before_write = lambda: None
        keys.ensure("chat")
        assert entry(api, "chat-operator-key", "key") == own_key(keys)
        assert sum(key.revoked_at is None for key in keys.list("chat")) == 1


# Ray's token


def test_rays_token_is_made_once(api: FakeApi, keys: SecretKeys) -> None:
    token = keys.ray_token("chat")
    assert re.fullmatch("[0-9a-f]{64}", token)
    keys.ensure("chat")
    assert keys.ray_token("chat") == token == entry(api, "chat-ray-token", "auth_token")
    assert secret(api, "chat-ray-token")["immutable"] is True


def test_of_two_that_make_a_token_both_use_the_first(api: FakeApi, keys: SecretKeys) -> None:
    first: list[str] = []

    def overtake() -> None:
        api.before_write = lambda: None
        first.append(SecretKeys(api, "ai").ray_token("chat"))

    api.before_write = overtake
    assert [keys.ray_token("chat")] == first


@pytest.mark.parametrize("damage", ["", "!!!", "/w=="])
def test_a_damaged_token_is_told_and_not_replaced(
    api: FakeApi, keys: SecretKeys, damage: str
) -> None:
    keys.ray_token("chat")
    set_entry(api, "chat-ray-token", "auth_token", damage)
    with pytest.raises(TargetError, match="Secret chat-ray-token in namespace ai") as caught:
        keys.ray_token("chat")
    assert caught.value.hint
    assert secret(api, "chat-ray-token")["data"]["auth_token"] == damage


@pytest.mark.parametrize("name", ["../up", "A", ""])
def test_a_name_that_is_none_is_refused(keys: SecretKeys, name: str) -> None:
    for use in (
        keys.list, keys.version, keys.ensure, keys.operator_key, keys.ray_token,
    ):  # fmt: skip
        with pytest.raises(InputError, match="no name of a service"):
            use(name)


# What is told


@pytest.mark.parametrize(
    "damage",
    ["", encoded(""), encoded("{"), encoded("[]"), encoded('{"version": 1}'), "!!!", "/w==",
     encoded('{"version": 1, "services": {"chat": [{"id": "CANARY"}]}}')],
)  # fmt: skip
def test_damaged_keys_are_told_by_secret_and_key_and_not_by_content(
    api: FakeApi, keys: SecretKeys, damage: str
) -> None:
    keys.create("chat", "team-a")
    set_entry(api, "chat-keys", "keys.json", damage)
    for use in (keys.list, keys.version, lambda service: keys.create(service, "team-b")):
        with pytest.raises(TargetError, match=r"chat-keys in namespace ai .* 'keys\.json'") as told:
            use("chat")
        assert "CANARY" not in "".join(traceback.format_exception(told.value))
    assert secret(api, "chat-keys")["data"]["keys.json"] == damage, "it was overwritten"


def test_no_secret_is_in_a_repr_or_a_message(api: FakeApi, keys: SecretKeys) -> None:
    made, text = keys.create("chat", "team-a")
    keys.ensure("chat")
    token, own = keys.ray_token("chat"), own_key(keys)
    digests = re.findall('"sha256": "([^"]+)"', entry(api, "chat-keys", "keys.json"))
    said = [repr(keys), repr(made), repr(keys.list("chat"))]
    set_entry(api, "chat-ray-token", "auth_token", encoded(token)[:-3])
    set_entry(api, "chat-operator-key", "key", encoded(own)[:-3])
    for use in (keys.ray_token, keys.operator_key):
        with pytest.raises(LlmopsError) as caught:
            use("chat")
        said += ["".join(traceback.format_exception(caught.value)), caught.value.hint]
    for hidden in (text, token, own, *digests, encoded(token)[:40], encoded(own)[:40]):
        assert not any(hidden in words for words in said), hidden
