"""Whether pods find room elsewhere, counted before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.model import Manifest
from clusters.room import Change, Room, Wanted
from tests.clusters.test_nodes import make_node, make_pod


def wanted(what: str = "replica of chat", **spec: Any) -> Wanted:
    asked = spec.pop("requests", {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "4"})
    return Wanted(what, {"containers": [{"resources": {"requests": asked}}], **spec})


def room(*nodes: Manifest, pods: tuple[Manifest, ...] = ()) -> Room:
    return Room(nodes, pods, without="n1")


def test_pods_that_fit_on_other_nodes_are_not_short() -> None:
    assert room(make_node(), make_node("n2")).after([Change((wanted(), wanted()))]) == ()


def test_the_node_that_is_drained_has_no_room() -> None:
    (short,) = room(make_node()).after([Change((wanted(),))])
    assert str(short).endswith("fit nowhere else: there is no other node")


def test_the_arithmetic_is_told() -> None:
    held = make_pod("other", "n2", requests={"nvidia.com/gpu": "2", "memory": "120Gi"})
    nodes = (make_node(), make_node("n2"), make_node("n3", unschedulable=True))
    (short,) = room(*nodes, pods=(held,)).after([Change((wanted(), wanted()))])
    assert str(short) == (
        "2 of 2 pods (replica of chat: 4 cores, 16.0 GiB memory, 4 nvidia.com/gpu) fit nowhere"
        " else: n2 has 8.0 GiB memory free; n3 is cordoned"
    )


def test_only_what_does_not_fit_is_short() -> None:
    (short,) = room(make_node("n2")).after([Change((wanted(),) * 3)])
    assert (short.count, short.of) == (1, 3)
    assert short.nodes == ("n2 has 0 nvidia.com/gpu free",)


def test_what_ends_after_a_move_is_free_for_the_next() -> None:
    old = make_pod("old", "n2", requests={"nvidia.com/gpu": "4", "memory": "16Gi", "cpu": "4"})
    nodes = room(make_node("n2"), pods=(old,))
    assert nodes.after([Change((wanted(),), going=(old,)), Change((wanted(),))]) == ()
    again = room(make_node("n2"), pods=(old,))
    assert len(again.after([Change((wanted(),)), Change((wanted(),))])) == 1


def test_the_largest_pods_are_placed_first() -> None:
    small = wanted("gateway of chat", requests={"nvidia.com/gpu": "4"})
    large = wanted(requests={"nvidia.com/gpu": "8"})
    taken = make_pod("other", "n3", requests={"nvidia.com/gpu": "4"})
    assert room(make_node("n2"), make_node("n3"), pods=(taken,)).after(
        [Change((small, large))]
    ) == ()  # fmt: skip


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (make_node("n2", unschedulable=True), "n2 is cordoned"),
        (make_node("n2", ready=False), "n2 is not ready"),
        (make_node("n2", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]),
         "n2 is tainted a=b"),
        (make_node("n2", labels={"pool": "cpu"}), "n2 is without label pool=gpu"),
    ],
)  # fmt: skip
def test_a_node_that_takes_no_such_pod_is_named_with_the_reason(node: Manifest, why: str) -> None:
    selector = {"pool": "gpu"} if "pool" in node["metadata"]["labels"] else {}
    (short,) = room(node).after([Change((wanted(nodeSelector=selector),))])
    assert short.nodes == (why,)


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "a", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "c"}, False),
        ({"key": "a", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "z", "operator": "Exists"}, False),
    ],
)
def test_a_taint_is_tolerated_as_the_scheduler_says(toleration: dict[str, str], fits: bool) -> None:
    node = make_node("n2", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
    short = room(node).after([Change((wanted(tolerations=[toleration]),))])
    assert (not short) is fits
