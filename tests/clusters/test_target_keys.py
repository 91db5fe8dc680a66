"""A key whose text nobody was shown opens nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clusters.secrets import SecretKeys
from clusters.target import ClusterTarget
from llmops.errors import TargetError
from llmops.events import Flow
from tests.clusters.fake_api import FakeApi


class Target(ClusterTarget):
    """One whose gateways take over keys, or do not, as `ends` says."""

    def __init__(self, ends: BaseException | None) -> None:
        self._keys = SecretKeys(FakeApi(), "llm")
        self.ends = ends

    def history(self, service: str) -> tuple[()]:
        return ()

    def _await_keys(self, service: str) -> Flow[None]:
        if self.ends:
            raise self.ends
        waits: Iterator[None] = iter(())
        yield from waits  # type: ignore[misc]


def test_a_rotated_key_that_was_not_handed_out_is_revoked_and_the_old_one_opens_on() -> None:
    target = Target(None)
    old, _ = target.create_key("chat", "team-a")
    target.ends = TargetError("a gateway is silent")
    with pytest.raises(TargetError):
        target.rotate_key("chat", "team-a", overlap=60.0)
    target.ends = None
    new, _ = target.rotate_key("chat", "team-a", overlap=60.0)
    states = {key.id: key.state(time.time()) for key in target.keys("chat")}
    assert (states[old.id], states[new.id]) == ("valid", "valid")
    assert sorted(states.values()) == ["revoked", "valid", "valid"]
    assert new.expires_at is None


def test_a_key_is_handed_out_once_every_gateway_knows_it() -> None:
    target = Target(None)
    target.create_key("chat", "team-a")
    assert [key.revoked_at for key in target.keys("chat")] == [None]


@pytest.mark.parametrize("ends", [TargetError("a gateway is silent"), KeyboardInterrupt()], ids=str)
def test_a_key_that_was_not_handed_out_is_revoked_and_its_name_is_free(ends: BaseException) -> None:
    target = Target(ends)
    with pytest.raises(type(ends)):
        target.create_key("chat", "team-a")
    assert [bool(key.revoked_at) for key in target.keys("chat")] == [True]
    target.ends = None
    target.create_key("chat", "team-a")
