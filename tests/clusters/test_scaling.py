"""How many pods a running Ray cluster is given, and that no more is written than has changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from clusters.model import Manifest, Runtime
from clusters.objects.rayservice import rayservice
from clusters.scaling import count, scaled
from llmops.errors import TargetError
from tests.clusters.builders import make_release, make_runtime


def runtime(*, releases: int = 1, **settings: Any) -> Runtime:
    return make_runtime(*(make_release(number=n + 1, **settings) for n in range(releases)))


def raycluster(of: Runtime) -> Manifest:
    """As KubeRay makes it of the runtime's RayService."""
    spec = copy.deepcopy(rayservice(of, "llm", {})["spec"]["rayClusterConfig"])
    return {"kind": "RayCluster", "metadata": {"name": "chat-1"}, "spec": spec}


def group(found: Manifest, name: str) -> Manifest:
    return next(g for g in found["spec"]["workerGroupSpecs"] if g["groupName"] == name)


@pytest.mark.parametrize("replicas", [1, "1..4"])
def test_what_is_so_already_is_not_written(replicas: object) -> None:
    one = runtime(scaling={"replicas": replicas})
    found = raycluster(one)
    assert scaled(found, one, ()) is found


def test_a_second_release_gets_pods_and_the_first_pods_are_named_when_it_goes() -> None:
    one, two = runtime(), runtime(releases=2)
    grown = scaled(raycluster(one), two, ())
    assert count(grown) == 2
    shrunk = scaled(grown, one, ("chat-1-replica-a",))
    assert count(shrunk) == 1
    named = group(shrunk, "replica")["scaleStrategy"]["workersToDelete"]
    assert named == ["chat-1-replica-a"]


def test_the_autoscaler_alone_says_how_many_there_are_between_the_bounds() -> None:
    one = runtime(scaling={"replicas": "1..4"})
    found = raycluster(one)
    group(found, "replica")["replicas"] = 3
    both = runtime(releases=2, scaling={"replicas": "1..4"})
    edited = group(scaled(found, both, ()), "replica")
    assert (edited["minReplicas"], edited["replicas"], edited["maxReplicas"]) == (2, 3, 8)


def test_gateways_are_added_and_never_taken_from_a_cluster_that_runs() -> None:
    two, three = (runtime(target={"gateways": n}) for n in (2, 3))
    grown = scaled(raycluster(two), three, ())
    edited = group(grown, "gateway")
    assert {edited[key] for key in ("minReplicas", "replicas", "maxReplicas")} == {3}
    assert scaled(grown, two, ()) is grown


@pytest.mark.parametrize("role", ["gateway", "replica"])
def test_a_cluster_without_the_group_is_told(role: str) -> None:
    one = runtime()
    found = raycluster(one)
    found["spec"]["workerGroupSpecs"].remove(group(found, role))
    with pytest.raises(TargetError, match=f"RayCluster chat-1 has no worker group '{role}'"):
        scaled(found, one, ())
