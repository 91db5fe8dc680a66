"""Nodes as a person sees them, who is on one, and what is changed when one is cordoned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from clusters import names
from clusters.model import Manifest
from clusters.nodes import Nodes, all_pods, view
from clusters.occupants import MIRROR, occupants
from clusters.ports import Writer
from clusters.trouble import Forbidden
from llmops.errors import InputError

GIB = 2**30


def make_node(name: str = "n1", *, ready: bool = True, **spec: Any) -> Manifest:
    has = {"cpu": "32", "memory": "128Gi", "nvidia.com/gpu": "8", "pods": "110"}
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100"} | spec.pop("labels", {})
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "allocatable": has | spec.pop("allocatable", {}),
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def make_pod(
    name: str,
    node: str = "n1",
    *,
    role: str = "",
    service: str = "chat",
    runtime: str = "aaaa",
    phase: str = "Running",
    ip: str = "",
    namespace: str = "llm",
    requests: Mapping[str, str] | None = None,
    **metadata: Any,
) -> Manifest:
    """A pod of ours when it has a role, somebody else's without."""
    ours = {names.SERVICE: service, names.ROLE: role, names.RUNTIME: runtime}
    labels = {"labels": ours if role else {}}
    return {
        "metadata": {"name": name, "namespace": namespace, **labels, **metadata},
        "spec": {
            "nodeName": node,
            "containers": [{"resources": {"requests": dict(requests or {})}}],
        },
        "status": {"phase": phase, "podIP": ip},
    }


class FakeCluster:
    """Nodes, pods, and the namespaces that may be looked into (None: all)."""

    context = "c"

    def __init__(
        self, *objects: Manifest, pods: tuple[Manifest, ...] = (), seen: list[str] | None = None
    ) -> None:
        self.nodes = {node["metadata"]["name"]: node for node in objects}
        self.pods = pods
        self.seen = seen
        self.patches: list[Manifest] = []

    def get(self, _kind: str, name: str, _namespace: str = "") -> Manifest | None:
        return self.nodes.get(name)

    def list(self, kind: str, namespace: str = "") -> list[Manifest]:
        if kind == "Node":
            return list(self.nodes.values())
        if self.seen is not None and namespace not in self.seen:
            raise Forbidden("no")
        return [pod for pod in self.pods if namespace in ("", pod["metadata"]["namespace"])]

    def patch_merge(self, _kind: str, name: str, _namespace: str, patch: Manifest) -> Manifest:
        self.patches.append(patch)
        self.nodes[name]["spec"] |= patch["spec"]
        return self.nodes[name]


def nodes_of(cluster: FakeCluster) -> Nodes:
    return Nodes(cast("Writer", cluster), "llm")


def test_a_node_is_told_with_what_is_free_and_what_of_ours_is_there() -> None:
    pods = [
        make_pod("a", role="replica", requests={"memory": "100Gi", "nvidia.com/gpu": "4"}),
        make_pod("b", role="gateway", requests={"memory": "3Gi"}),
        make_pod("c", requests={"nvidia.com/gpu": "1"}),
        make_pod("d", phase="Succeeded", requests={"nvidia.com/gpu": "3"}),
        make_pod("e", "n2", role="replica"),
    ]
    seen = view(make_node(unschedulable=True), pods)
    assert (seen.ready, seen.schedulable) == (True, False)
    assert (seen.gpus_used, seen.gpus, seen.gpu) == (5, 8, "NVIDIA-H100")
    assert (seen.memory_free, seen.memory) == (25 * GIB, 128 * GIB)
    assert seen.pods == {"llm/chat": {"gateway": 1, "replica": 1}}


def test_what_belongs_to_the_node_itself_is_nobody_elses() -> None:
    pods = [
        make_pod("ours", role="replica"),
        make_pod("theirs", namespace="shop"),
        make_pod("agent", ownerReferences=[{"kind": "DaemonSet", "name": "agent"}]),
        make_pod("static", annotations={MIRROR: "x"}),
        make_pod("ended", phase="Failed"),
        make_pod("elsewhere", "n2"),
    ]
    found = occupants("n1", pods)
    assert list(found.ours) == [("llm", "chat")]
    assert found.others == ("shop/theirs",)


def test_a_node_is_cordoned_once_and_released_once() -> None:
    cluster = FakeCluster(make_node())
    nodes = nodes_of(cluster)
    assert [nodes.cordon("n1"), nodes.cordon("n1")] == [True, False]
    assert [nodes.uncordon("n1"), nodes.uncordon("n1")] == [True, False]
    assert cluster.patches == [
        {"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}}
    ]  # fmt: skip


def test_an_unknown_node_is_refused_with_those_that_are_near() -> None:
    nodes = nodes_of(FakeCluster(make_node("gpu-01"), make_node("gpu-02"), make_node("head")))
    with pytest.raises(InputError, match="c has no node 'gpu-1'") as caught:
        nodes.cordon("gpu-1")
    assert caught.value.hint == "did you mean gpu-01 or gpu-02?"
    with pytest.raises(InputError) as caught:
        nodes.find("zzz")
    assert caught.value.hint == "there are: gpu-01, gpu-02, head"


def test_pods_that_may_not_be_seen_are_told_to_be_missing() -> None:
    pods = (make_pod("a", role="replica"), make_pod("b", namespace="shop"))
    everything = all_pods(cast("Writer", FakeCluster(pods=pods)), "llm")
    assert (len(everything.found), everything.whole) == (2, True)
    some = all_pods(cast("Writer", FakeCluster(pods=pods, seen=["llm"])), "llm")
    assert ([pod["metadata"]["name"] for pod in some.found], some.whole) == (["a"], False)
