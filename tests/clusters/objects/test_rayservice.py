"""The RayService as a whole: golden files, and KubeRay's own schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from clusters import names
from clusters.objects.rayservice import RAY_VERSION, rayservice
from tests.clusters.builders import make_release, make_runtime, make_serve_config
from tests.clusters.objects import golden
from tests.clusters.objects.crd import faults, rayservice_schema


@pytest.mark.parametrize("case", golden.cases())
def test_the_object_is_the_one_that_was_read_and_kept(case: str) -> None:
    hint = "python -m tests.clusters.objects.golden --write, then read the difference"
    assert golden.text(case) == golden.expected(case), hint


@pytest.mark.parametrize("case", golden.cases())
def test_kuberays_schema_knows_every_field(case: str) -> None:
    assert list(faults(golden.made(case), rayservice_schema())) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("spec.rayClusterConfig.headGroupSpec.nodes", 1, "nodes is unknown"),
        ("spec.rayClusterConfig.authOptions.mode", "open", "'open' is none of"),
        ("spec.rayClusterConfig.enableInTreeAutoscaling", "yes", "'yes' is no boolean"),
        ("spec.rayClusterConfig.headGroupSpec", {}, "template is missing"),
    ],
)
def test_the_schema_is_one_that_refuses(path: str, value: object, told: str) -> None:
    document = copy.deepcopy(golden.made("cpu"))
    *folders, last = path.split(".")
    place: dict[str, Any] = document
    for folder in folders:
        place = place[folder]
    place[last] = value
    assert told in "\n".join(faults(document, rayservice_schema()))


def test_the_serve_config_comes_out_as_it_went_in() -> None:
    runtime = golden.runtime_of("two-releases")
    config = make_serve_config(runtime)
    spec = rayservice(runtime, "llm", config)["spec"]
    assert yaml.safe_load(spec["serveConfigV2"]) == config


def test_a_shift_changes_nothing_but_the_table_and_the_words_for_people() -> None:
    old, new = make_release(number=3), make_release(number=4)
    before, after = (
        _without_config(make_runtime(old, new, shares=shares))
        for shares in ({3: 100, 4: 0}, {3: 0, 4: 100})
    )
    assert before.pop("annotations") == "r3=100 r4=0"
    assert after.pop("annotations") == "r3=0 r4=100"
    assert before == after


def _without_config(runtime: Any) -> dict[str, Any]:
    document = rayservice(runtime, "llm", make_serve_config(runtime))
    document["spec"].pop("serveConfigV2")
    told = document["metadata"]["annotations"].pop(names.RELEASES)
    return {"annotations": told, "document": document}


def test_kuberay_replaces_no_cluster_by_itself() -> None:
    assert golden.made("cpu")["spec"]["upgradeStrategy"] == {"type": "None"}


def test_ray_schedules_no_work_on_the_head() -> None:
    cluster = golden.made("cpu")["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    resources = {g["groupName"]: g["resources"] for g in cluster["workerGroupSpecs"]}
    assert resources == {"gateway": {"llmops_gateway": "1"}, "replica": {"llmops_replica": "1"}}


def test_a_group_names_its_resources_in_one_place_as_kuberay_demands() -> None:
    for case in golden.cases():
        for group in golden.made(case)["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
            both = {"num-cpus", "num-gpus", "memory", "resources"} & set(group["rayStartParams"])
            assert not both, case


def test_the_autoscaler_beside_the_head_would_be_admitted() -> None:
    cluster = golden.made("autoscaled")["spec"]["rayClusterConfig"]
    security = cluster["autoscalerOptions"]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["allowPrivilegeEscalation"] is False
    assert cluster["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is True
    group = cluster["workerGroupSpecs"][1]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (1, 1, 4)


def test_the_version_of_ray_is_that_of_the_lock() -> None:
    lock = (golden.CASES.parents[2] / "requirements" / "local.txt").read_text()
    assert f"\nray=={RAY_VERSION} " in lock
