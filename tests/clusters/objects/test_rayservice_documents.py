"""From typed objects to the API's JSON."""

from __future__ import annotations

from dataclasses import dataclass

from lightkube.models import core_v1, meta_v1, networking_v1

from clusters.objects.documents import document
from clusters.objects.labels import metadata, selector


@dataclass(frozen=True)
class Ours:
    ray_version: str
    serve_config_v2: str | None = None
    worker_group_specs: tuple[core_v1.Volume, ...] = ()
    kind: str = "Ours"


def test_what_is_unset_or_empty_is_not_sent() -> None:
    pod = core_v1.PodSpec(containers=[core_v1.Container(name="one")], volumes=[], nodeSelector={})
    assert document(pod) == {"containers": [{"name": "one"}]}


def test_an_object_that_is_empty_on_purpose_stays() -> None:
    assert document(core_v1.Volume(name="tmp", emptyDir=core_v1.EmptyDirVolumeSource())) == {
        "name": "tmp",
        "emptyDir": {},
    }
    policy = networking_v1.NetworkPolicySpec(podSelector=meta_v1.LabelSelector())
    assert document(policy) == {"podSelector": {}}


def test_false_zero_and_an_empty_text_are_values() -> None:
    assert document({"a": False, "b": 0, "c": ""}) == {"a": False, "b": 0, "c": ""}


def test_names_are_those_of_the_api() -> None:
    ours = Ours("2.60.0", "apps", (core_v1.Volume(name="tmp"),))
    assert document(ours) == {
        "kind": "Ours",
        "rayVersion": "2.60.0",
        "serveConfigV2": "apps",
        "workerGroupSpecs": [{"name": "tmp"}],
    }
    peer = networking_v1.NetworkPolicyIngressRule(from_=[networking_v1.NetworkPolicyPeer()])
    assert document(peer) == {"from": [{}]}


def test_people_find_the_kind_and_the_name_first() -> None:
    made = document(
        core_v1.ConfigMap(data={"a": "b"}, metadata=metadata("x", "llm", "chat", "network"))
    )
    assert list(made) == ["apiVersion", "kind", "metadata", "data"]
    assert list(made["metadata"]) == ["name", "namespace", "labels"]


def test_labels_say_whose_an_object_is_and_selectors_use_ours_only() -> None:
    labels = document(metadata("x", "llm", "chat", "gateway", "0a1b2c3d"))["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "llmops"
    assert labels["app.kubernetes.io/component"] == "gateway"
    assert selector("chat", "gateway", "0a1b2c3d") == {
        "llmops/service": "chat",
        "llmops/role": "gateway",
        "llmops/runtime": "0a1b2c3d",
    }
