"""A key expires by the clock alone, is rotated with an overlap, and names only what it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError
from serving.gateway import (
    Key,
    KeyRing,
    KeySet,
    create_key,
    list_keys,
    make_key,
    revoke_key,
    rotate_key,
)
from tests.gateway.fakes import Clock, Gate

DAY = 86_400.0


def opening(keys: KeySet, service: str, now: float) -> list[str]:
    """Ids of the keys of a service that open at `now`."""
    return [key.id for key in keys.of(service) if key.opens(now)]


def one_key(**options: Any) -> tuple[KeySet, Key]:
    key, _ = make_key("team-a", 0.0, **options)
    return KeySet().add("tiny", key), key


def test_an_expired_key_is_refused_at_once_without_a_reload(tmp_path: Path) -> None:
    clock = Clock()
    _, text = create_key(tmp_path / "keys.json", "tiny", "team-a", expires_at=clock.now + 10)
    ring = KeyRing(tmp_path / "keys.json", clock=clock)
    clock.now += 9.999
    assert ring.find(text) is not None
    clock.now += 0.001
    assert ring.find(text) is None


async def test_the_gateway_answers_401_from_the_second_a_key_expires(gate: Gate) -> None:
    gate.keyring._clock = gate.clock
    _, text = create_key(gate.keys_file, "tiny", "short", expires_at=gate.clock.now + 5)
    gate.app.reload_keys()
    assert (await gate.complete(key=text)).status == 200
    gate.clock.now += 5
    reply = await gate.complete(key=text)
    assert reply.status == 401
    assert gate.lines(unknown=True)[-1]["reason"] == "invalid_api_key"


def test_both_keys_open_during_the_overlap_and_only_the_new_one_after() -> None:
    keys, old = one_key()
    keys, (new, text) = keys.rotate("tiny", "team-a", 100.0, 50.0)
    assert (new.name, new.expires_at, new.created_at) == ("team-a", None, 100.0)
    assert text.startswith(f"llmops-{new.id}-")
    assert opening(keys, "tiny", 149.9) == [old.id, new.id]
    assert opening(keys, "tiny", 150.0) == [new.id]


def test_without_an_overlap_the_old_key_ends_at_once() -> None:
    keys, _ = one_key()
    keys, (new, _) = keys.rotate("tiny", "team-a", 100.0, 0.0)
    assert opening(keys, "tiny", 100.0) == [new.id]


def test_a_rotation_does_not_lengthen_a_life_that_would_end_sooner() -> None:
    keys, old = one_key(expires_at=120.0)
    keys, _ = keys.rotate("tiny", "team-a", 100.0, DAY)
    assert keys.of("tiny")[0].ends_at == 120.0
    assert keys.of("tiny")[0].id == old.id


def test_the_new_key_lives_as_long_and_names_the_same() -> None:
    keys, _ = one_key(expires_at=30 * DAY, models=("tiny", "other"))
    keys, (new, _) = keys.rotate("tiny", "team-a", 20 * DAY, DAY)
    assert (new.expires_at, new.models) == (50 * DAY, ("tiny", "other"))
    keys, (newest, _) = keys.rotate("tiny", "team-a", 21 * DAY, DAY, 22 * DAY)
    assert newest.expires_at == 22 * DAY


def test_an_expired_key_can_be_rotated_and_stays_expired() -> None:
    keys, old = one_key(expires_at=10.0)
    with pytest.raises(InputError, match="has a key named"):
        keys.add("tiny", make_key("team-a", 20.0)[0])
    keys, (new, _) = keys.rotate("tiny", old.id, 20.0, DAY)
    assert opening(keys, "tiny", 20.0) == [new.id]


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 500)), min_size=1, max_size=6),
    st.floats(0, 5000),
)
def test_after_any_rotations_each_key_opens_until_the_first_overlap_that_ends_it(
    rotations: list[tuple[float, float]], later: float
) -> None:
    keys, first = one_key()
    now, made = 0.0, [first.id]
    ends: dict[str, float] = {}
    for gap, overlap in rotations:
        now += gap
        for key in made:
            ends[key] = min(ends.get(key, float("inf")), now + overlap)
        keys, (new, _) = keys.rotate("tiny", "team-a", now, overlap)
        made.append(new.id)
    expected = [key for key in made if now + later < ends.get(key, float("inf"))]
    assert opening(keys, "tiny", now + later) == expected
    assert opening(keys, "tiny", now + later)[-1] == made[-1], "the newest does not open"
    assert len({key.id for key in keys.of("tiny")}) == len(rotations) + 1
    assert keys.version == 1 + len(rotations)
    assert KeySet.parse(keys.dump()) == keys


def test_a_rotation_whose_key_was_never_shown_is_made_good_by_another(tmp_path: Path) -> None:
    """A crash after the write and before the key was printed: its text is lost for ever."""
    file = tmp_path / "keys.json"
    _, old = create_key(file, "tiny", "team-a")
    rotate_key(file, "tiny", "team-a", overlap=DAY)
    _, text = rotate_key(file, "tiny", "team-a", overlap=DAY)
    ring = KeyRing(file)
    assert ring.find(old) is not None
    assert ring.find(text) is not None
    revoke_key(file, "tiny", "team-a")
    ring.reload()
    assert ring.find(old) is None
    assert ring.find(text) is None
    assert all(key.revoked_at is not None for key in list_keys(file, "tiny"))


def test_what_a_rotation_cut_short_is_not_how_long_its_successor_lives() -> None:
    keys, _ = one_key()
    keys, (lost, _) = keys.rotate("tiny", "team-a", 100.0, DAY)
    keys, _ = keys.revoke("tiny", lost.id, 101.0)  # as a target does that could not hand it out
    _, (new, _) = keys.rotate("tiny", "team-a", 102.0, DAY)
    assert new.ends_at is None


def test_by_its_id_one_key_of_a_name_is_revoked_and_by_the_name_all() -> None:
    keys, old = one_key()
    keys, (new, _) = keys.rotate("tiny", "team-a", 1.0, DAY)
    one, revoked = keys.revoke("tiny", old.id, 2.0)
    assert (opening(one, "tiny", 2.0), revoked.id) == ([new.id], old.id)
    none, revoked = keys.revoke("tiny", "team-a", 2.0)
    assert (opening(none, "tiny", 2.0), revoked.id) == ([], new.id)


def test_only_a_key_that_is_there_is_rotated() -> None:
    keys, _ = one_key()
    with pytest.raises(InputError, match="has no key 'team-b'") as caught:
        keys.rotate("tiny", "team-b", 1.0, 1.0)
    assert "team-a" in caught.value.hint
    revoked, _ = keys.revoke("tiny", "team-a", 1.0)
    with pytest.raises(InputError, match="has no key 'team-a'"):
        revoked.rotate("tiny", "team-a", 1.0, 1.0)


def test_a_record_from_before_there_were_lives_is_read(tmp_path: Path) -> None:
    record = {"id": "0" * 16, "name": "a", "sha256": "f" * 64, "created_at": 1.0}
    text = json.dumps({"version": 7, "services": {"tiny": [record | {"revoked_at": None}]}})
    [key] = KeySet.parse(text).of("tiny")
    assert (key.expires_at, key.models, key.opens(1e12)) == (None, (), True)
    assert json.loads(KeySet.parse(text).dump()) == json.loads(text), (
        "a gateway of that time could not read it any more"
    )


def test_a_record_of_a_later_version_is_read() -> None:
    record = {"id": "0" * 16, "name": "a", "sha256": "f" * 64, "created_at": 1.0, "colour": "red"}
    assert KeySet.parse(json.dumps({"version": 1, "services": {"tiny": [record]}})).of("tiny")


@pytest.mark.parametrize("end", ["soon", [1], {}])
def test_an_end_that_is_no_time_is_damage(end: object) -> None:
    record = {"id": "0" * 16, "name": "a", "sha256": "f", "created_at": 1.0, "expires_at": end}
    with pytest.raises(ValueError, match="no list of keys"):
        KeySet.parse(json.dumps({"version": 1, "services": {"tiny": [record]}}))


async def test_a_key_names_its_own_service_alone_or_those_that_it_is_for(gate: Gate) -> None:
    _, both = create_key(gate.keys_file, "tiny", "both", models=("tiny", "other", "gone"))
    _, only = create_key(gate.keys_file, "tiny", "only", models=("other",))
    gate.app.reload_keys()

    async def statuses(key: str) -> list[int]:
        return [
            (await gate.complete(key=key, body={"model": model})).status
            for model in ("tiny", "other", "gone")
        ]

    assert await statuses(gate.key) == [200, 404, 404]
    assert await statuses(both) == [200, 200, 404]
    assert await statuses(only) == [404, 200, 404]
    listed = json.loads((await gate.ask("GET", "/v1/models", key=both)).body)
    assert [entry["id"] for entry in listed["data"]] == ["tiny", "other"]
    assert (await gate.ask("GET", "/v1/models/tiny", key=only)).status == 404
    assert (await gate.ask("GET", "/v1/models/other", key=only)).status == 200
    served = [line["service"] for line in gate.lines() if line["key"] == "both"]
    assert served == ["tiny", "other", "tiny", "tiny"]
