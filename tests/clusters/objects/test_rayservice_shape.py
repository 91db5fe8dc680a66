"""The shape of pods and the runtime's id: what makes a new runtime, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clusters.objects.rayservice import rayservice
from clusters.shape import digest, shape_of
from llmops.errors import InputError
from tests.clusters.builders import make_plan, make_release, make_runtime, make_serve_config

NEW_PODS: dict[str, dict[str, Any]] = {
    "image": {"image": f"registry.example/llmops@sha256:{'cd' * 32}"},
    "cores": {"cores": 8},
    "memory": {"memory": "17GiB"},
    "disk": {"disk": "41GiB"},
    "node_selector": {"target": {"node_selector": {"pool": "other"}}},
    "tolerations": {"target": {"tolerations": [{"key": "team"}]}},
    "runtime_class": {"target": {"runtime_class": "gvisor"}},
    "priority": {"target": {"priority": 5}},
    "queue": {"target": {"queue": {"local_queue": "inference"}}},
    "rdma": {"target": {"rdma": {"resource": "rdma/hca"}}},
    "weights": {"target": {"weights": {"kind": "pvc"}}},
    "model_secret": {"target": {"model_secret": "hub"}},
    "pull_secrets": {"target": {"pull_secrets": ["registry"]}},
    "redis": {"target": {"redis": {"address": "redis://redis:6379"}}},
    "autoscaler": {"scaling": {"replicas": "1..4"}},
}

SAME_PODS: dict[str, dict[str, Any]] = {
    "context": {"target": {"context": "prod"}},
    "gateways": {"target": {"gateways": 3}},
    "egress": {"target": {"egress": ["10.1.0.0/16"]}},
    "expose": {"target": {"expose": {"kind": "ingress", "hostname": "llm.example"}}},
    "monitoring": {"target": {"monitoring": True}},
    "quota": {"target": {"quota": True}},
    "drain": {"maintenance": {"drain": "1min"}},
    "replicas": {"scaling": {"replicas": 2}},
    "keys": {"security": {"keys": ["team-a"]}},
}


def identity(**settings: Any) -> str:
    return digest(shape_of(make_plan(**settings)))


def test_the_id_is_the_same_in_every_process_and_version() -> None:
    assert identity() == "86a97a5a"


@pytest.mark.parametrize("field", NEW_PODS)
def test_other_pods_are_another_runtime(field: str) -> None:
    assert identity(**NEW_PODS[field]) != identity()


@pytest.mark.parametrize("field", SAME_PODS)
def test_what_is_in_no_pod_leaves_the_runtime_as_it_is(field: str) -> None:
    assert identity(**SAME_PODS[field]) == identity()


@pytest.mark.parametrize("field", [f for f in SAME_PODS if f not in {"drain", "replicas"}])
def test_what_leaves_the_id_as_it_is_changes_no_template(field: str) -> None:
    assert _templates(**SAME_PODS[field]) == _templates()


@pytest.mark.parametrize("field", NEW_PODS)
def test_what_makes_another_id_can_be_seen_in_a_template(field: str) -> None:
    assert _templates(**NEW_PODS[field]) != _templates()


def test_a_recorded_target_is_read_back_through_json() -> None:
    plan = make_plan(gpus=2, target={"weights": {"kind": "pvc", "size": "200GiB"}, "priority": 5})
    stored = replace(plan, target=json.loads(json.dumps(plan.target)))
    assert shape_of(stored) == shape_of(plan)


def test_what_a_later_version_wrote_is_passed_over() -> None:
    plan = make_plan(target={"tolerations": [{"key": "team"}], "rdma": {"resource": "rdma/hca"}})
    later = json.loads(json.dumps(plan.target)) | {"mesh": {"kind": "ambient"}}
    later["tolerations"][0]["seconds"] = 60
    later["rdma"]["rails"] = 8
    later["weights"]["tier"] = "fast"
    assert shape_of(replace(plan, target=later)) == shape_of(plan)


def test_a_damaged_record_is_told_and_not_guessed_at() -> None:
    plan = make_plan()
    with pytest.raises(InputError, match="recorded target of chat cannot be read"):
        shape_of(replace(plan, target=plan.target | {"gateways": "many"}))


def test_a_plan_for_this_machine_has_no_pods() -> None:
    with pytest.raises(InputError, match="not one for Kubernetes"):
        shape_of(replace(make_plan(), pod=None, target={}))


def _templates(**settings: Any) -> str:
    runtime = replace(make_runtime(make_release(**settings)), id="0" * 8)
    cluster = rayservice(runtime, "llm", make_serve_config(runtime))["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    around = {k: v for k, v in cluster.items() if not k.endswith(("Spec", "Specs"))}
    queue = rayservice(runtime, "llm", {})["metadata"]["labels"]
    return json.dumps([around, queue, [group["template"] for group in groups]], sort_keys=True)
