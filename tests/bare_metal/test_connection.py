"""The way to hosts without a host: the fan-out, pinned keys, references to secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bare_metal.hosts.connection import (
    HostGoneError,
    Unreachable,
    called,
    chosen,
    over,
    pin,
    pinned,
    with_addresses,
)
from bare_metal.inventory import Placed, hosts_of, resolved
from llmops.errors import InputError
from tests.bare_metal import trees

HOSTS = tuple(Placed(f"h-{at:03}", "h", at, "r1", f"10.0.0.{at}") for at in range(1, 41))
CANARY = "canary-4711"


async def test_every_host_has_an_entry_whatever_became_of_it() -> None:
    at_once, most = 0, 0

    async def act(host: Placed) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await asyncio.sleep(0)
            if host.slot == 7:
                raise HostGoneError("the connection was lost", "look at it")
            if host.slot == 9:
                await asyncio.Event().wait()
            return host.slot
        finally:
            at_once -= 1

    told: list[str] = []
    found = await over(
        HOSTS, act, seconds=0.5, most=5, told=lambda host, _outcome: told.append(host.name)
    )
    assert list(found) == [host.name for host in HOSTS]
    assert found["h-007"] == Unreachable("the connection was lost", "look at it")
    assert found["h-009"] == Unreachable("it did not come to an end within 0.5 s")
    assert found["h-040"] == 40
    assert most == 5
    assert sorted(told) == sorted(found)


def test_keys_are_pinned_beside_what_others_wrote(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    others = (
        "# ours\n@revoked * ssh-ed25519 AAAAold\na,10.0.0.9 ssh-rsa AAAAr\na ssh-ed25519 AAAAe\n"
    )
    path.write_text(others)
    pin(path, {called("10.0.0.1", 22): "ssh-ed25519 AAAA1", called("10.0.0.2", 2222): "x AAAA2"})
    assert path.read_text().startswith(others)
    held = pinned(path)
    assert held["a"] == {"ssh-rsa AAAAr", "ssh-ed25519 AAAAe"}
    assert held["10.0.0.9"] == {"ssh-rsa AAAAr"}
    assert held["[10.0.0.2]:2222"] == {"x AAAA2"}
    pin(path, {"10.0.0.1": "ssh-ed25519 AAAAnew"})
    assert pinned(path)["10.0.0.1"] == {"ssh-ed25519 AAAAnew"}
    assert pinned(path)["a"] == held["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_keys_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    assert pinned(tmp_path / "absent") == {}
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a list of hosts' keys"):
        pinned(tmp_path / "bytes")
    with pytest.raises(InputError, match="cannot be read as a list"):
        pin(tmp_path / "bytes" / "below", {"a": "b c"})


def test_a_reference_is_looked_up_and_only_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_TEST_SECRET", CANARY)
    (tmp_path / "secret").write_text(f"{CANARY}\n")
    (tmp_path / "empty").write_text(" \n")
    assert resolved("env:LLMOPS_TEST_SECRET", tmp_path) == CANARY
    assert resolved("file:secret", tmp_path).strip() == CANARY
    for reference in ("env:LLMOPS_TEST_ABSENT", "file:absent", "file:empty"):
        with pytest.raises(InputError) as caught:
            resolved(reference, tmp_path)
        assert reference in caught.value.message
        assert CANARY not in caught.value.message


def test_hosts_are_chosen_by_name_once_and_must_have_an_address() -> None:
    cluster = trees.cluster()
    assert [host.name for host in chosen(cluster, ["su-003", "su-001", "su-003"])] == [
        "su-003",
        "su-001",
    ]
    assert chosen(cluster, []) == hosts_of(cluster)
    with pytest.raises(InputError, match="expected a host of alpha, found 'su-9'"):
        chosen(cluster, ["su-9"])
    without = trees.cluster("kind: Cluster\nname: a\nunits: [{name: su, hosts: 1}]\n")
    with pytest.raises(InputError, match="expected an address for su-001"):
        with_addresses(chosen(without, []))
