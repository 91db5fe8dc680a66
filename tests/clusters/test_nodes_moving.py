"""What a node's drain means for a service: what moves, how, and what room that takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from clusters import names
from clusters.live import LiveRuntime, read_live
from clusters.model import Manifest
from clusters.moving import How, Stay, changes, decide
from clusters.objects.rayservice import rayservice
from llmops.releases import Release
from tests.clusters.builders import make_release, make_runtime, make_serve_config
from tests.clusters.test_nodes import make_pod


def runtime_of(release: Release) -> LiveRuntime:
    runtime = make_runtime(release)
    document = rayservice(runtime, "llm", make_serve_config(runtime))
    return read_live("chat", [document], None).runtimes[0]


def make_stay(
    *pods: tuple[str, str], how: How = How.WITHIN, continued: str = "", **settings: Any
) -> Stay:
    """A service with pods of (role, node) in its live runtime, looked at from node `n1`."""
    live = make_release(**settings)
    runtime = runtime_of(live)
    made = tuple(
        make_pod(f"p{at}", node, role=role, runtime=runtime.id)
        for at, (role, node) in enumerate(pods)
    )
    shape = make_runtime(live).shape
    return Stay("llm", "chat", how, "", live, runtime, shape, made, "n1", continued)


def here(*roles: str, runtime: str) -> list[Manifest]:
    return [make_pod(f"p{at}", role=role, runtime=runtime) for at, role in enumerate(roles)]


REDIS = {"redis": {"address": "redis://redis.llm:6379"}}


@pytest.mark.parametrize(
    ("roles", "busy", "target", "how", "why"),
    [
        ((), 0, {}, How.NOTHING, ""),
        (("replica",), 1, {}, How.WITHIN, "1 of its replicas is here"),
        (("replica", "replica"), 2, {}, How.WITHIN, "2 of its replicas are here"),
        (("replica",), 0, {}, How.EVICT, "1 replica; no replica of release 1"),
        (("gateway",), 0, {}, How.EVICT, "1 gateway; no replica of release 1"),
        (("gateway",), 0, {"gateways": 1}, How.APART, "its only gateway is here"),
        (("head", "replica"), 1, {}, How.APART, "its head is here"),
        (("head",), 0, REDIS, How.EVICT, "1 head; no replica of release 1"),
        (("head", "replica"), 1, REDIS, How.WITHIN, "1 of its replicas is here"),
    ],
)
def test_how_a_service_leaves_a_node(
    roles: tuple[str, ...], busy: int, target: dict[str, Any], how: How, why: str
) -> None:
    live = make_release(target=target)
    runtime, shape = runtime_of(live), make_runtime(live).shape
    found = decide(here(*roles, runtime=runtime.id), runtime, shape, busy, live.number)
    assert found[0] is how
    assert found[1].startswith(why)


def test_the_head_of_an_old_runtime_does_not_move_the_release() -> None:
    live = make_release()
    found = decide(here("head", runtime="old"), runtime_of(live), make_runtime(live).shape, 0, 1)
    assert found[0] is How.EVICT


def test_a_release_without_its_runtime_is_settled_first() -> None:
    live = make_release()
    found = decide(here("head", runtime="old"), None, make_runtime(live).shape, 0, 1)
    assert found[0] is How.EVICT


def coming(stay: Stay) -> Counter[str]:
    return Counter(wanted.what for change in changes(stay) for wanted in change.coming)


REPLICAS: dict[str, Any] = {"scaling": {"replicas": 2}}


def test_within_its_runtime_a_second_set_of_replicas_comes_up() -> None:
    stay = make_stay(("replica", "n1"), ("replica", "n2"), ("gateway", "n1"), **REPLICAS)
    assert coming(stay) == {"replica of chat": 2, "gateway of chat": 1}
    moved, gateway = changes(stay)
    assert [pod["metadata"]["name"] for pod in moved.going] == ["p1"]
    assert gateway.going == ()
    assert moved.coming[0].asks["cpu"] == 4


def test_apart_a_head_and_gateways_come_too_and_nothing_is_evicted() -> None:
    stay = make_stay(("head", "n1"), ("gateway", "n1"), ("replica", "n2"), how=How.APART)
    assert coming(stay) == {"replica of chat": 1, "head of chat": 1, "gateway of chat": 2}
    (moved,) = changes(stay)
    assert [pod["metadata"]["name"] for pod in moved.going] == ["p2"]


def test_an_autoscaler_beside_the_head_needs_room_too() -> None:
    def head_cores(**settings: Any) -> float:
        stay = make_stay(("head", "n1"), how=How.APART, **settings)
        (moved,) = changes(stay)
        return next(w.asks["cpu"] for w in moved.coming if w.what == "head of chat")

    assert head_cores(scaling={"replicas": "1..3"}) == head_cores() + 1


def test_what_a_killed_run_brought_up_is_not_counted_again() -> None:
    pods = (("replica", "n1"), ("replica", "n2"), ("replica", "n3"))
    first = make_stay(*pods, **REPLICAS)
    assert first.runtime is not None
    again = replace(first, continued=first.runtime.id)
    assert coming(first) == {"replica of chat": 2}
    assert coming(again) == {"replica of chat": 1}


def test_what_a_killed_move_apart_brought_up_is_not_counted_again() -> None:
    first = make_stay(("head", "n1"), ("replica", "n1"), how=How.APART)
    new = tuple(
        make_pod(role, "n2", role=role, runtime="bbbb") for role in (names.HEAD, names.GATEWAY)
    )
    again = replace(first, pods=first.pods + new, continued="bbbb")
    assert coming(again) == {"replica of chat": 1, "gateway of chat": 1}


def test_a_pod_without_a_node_still_needs_its_room() -> None:
    first = make_stay(("replica", "n1"), ("replica", ""))
    assert first.runtime is not None
    assert coming(replace(first, continued=first.runtime.id)) == {"replica of chat": 1}


def test_the_mark_is_the_same_in_every_run() -> None:
    assert make_stay().mark == make_stay().mark == "release 1 moved from n1"
