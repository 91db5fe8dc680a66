"""What gateways and the autoscaler tell each other: fresh figures only, and the last decision."""

from __future__ import annotations

import pytest
from ray.experimental import internal_kv

from serving.runtime import board

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """Ray's store as a dictionary; it leaves out namespaces, and other processes."""
    kept: dict[bytes, bytes] = {}

    def put(key: str, value: bytes, *, overwrite: bool, namespace: bytes) -> None:
        assert namespace == board.NAMESPACE
        if overwrite or key.encode() not in kept:
            kept[key.encode()] = value

    def get(key: bytes, *, namespace: bytes) -> bytes | None:
        assert namespace == board.NAMESPACE
        return kept.get(key)

    def found(prefix: str, *, namespace: bytes) -> list[bytes]:
        assert namespace == board.NAMESPACE
        return [key for key in kept if key.startswith(prefix.encode())]

    monkeypatch.setattr(internal_kv, "_internal_kv_put", put)
    monkeypatch.setattr(internal_kv, "_internal_kv_get", get)
    monkeypatch.setattr(internal_kv, "_internal_kv_list", found)
    return kept


def test_figures_are_found_by_gateway_while_they_are_fresh() -> None:
    board.post_load("chat-r3", "a", {"arrived": 1, "at": NOW})
    board.post_load("chat-r3", "b", {"arrived": 2, "at": NOW - 60})
    board.post_load("chat-r30", "c", {"arrived": 3, "at": NOW})
    assert board.loads("chat-r3", NOW + 1) == {"a": {"arrived": 1, "at": NOW}}


def test_figures_of_a_clock_that_goes_ahead_are_not_believed() -> None:
    board.post_load("chat-r3", "a", {"arrived": 1, "at": NOW + 60})
    assert board.loads("chat-r3", NOW) == {}


def test_how_long_a_start_takes_is_kept_by_service() -> None:
    assert board.startup("chat") is None
    board.post_startup("chat", 41.5)
    assert (board.startup("chat"), board.startup("search")) == (41.5, None)


def test_a_secret_is_one_for_all_who_ask_and_no_other_is_like_it() -> None:
    found = board.secret("sessions")
    assert board.secret("sessions") == found
    assert len(found) == board.SECRET
    assert board.secret("other") != found


def test_the_last_decision_is_found() -> None:
    assert board.decision("chat-r3") is None
    board.post_decision("chat-r3", {"replicas": 1})
    board.post_decision("chat-r3", {"replicas": 2, "reason": "45 in flight"})
    assert board.decision("chat-r3") == {"replicas": 2, "reason": "45 in flight"}


def test_what_gateways_suspect_is_found_while_it_is_fresh() -> None:
    board.post_quarantine("a", {"suspected": [["chat", "8f3c", 1]], "at": NOW})
    board.post_quarantine("b", {"suspected": [], "at": NOW - 60})
    assert board.quarantines(NOW) == {"a": {"suspected": [["chat", "8f3c", 1]], "at": NOW}}
