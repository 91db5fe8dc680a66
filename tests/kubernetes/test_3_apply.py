"""Server-side apply on a real API server: what the second run, others' edits and races come to."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from clusters import names
from clusters.apply import apply_all, key_of, preview, prune
from clusters.client import Client
from clusters.drift import drift
from clusters.kubeconfig import find
from clusters.model import Manifest
from clusters.trouble import Changed, Conflicted
from llmops.errors import RefusedError
from tests.kubernetes.control_plane import ControlPlane

KINDS = ("ConfigMap", "LocalQueue", "NetworkPolicy", "RayService", "Secret", "Service")


@pytest.fixture
def client(control_plane: ControlPlane) -> Client:
    return Client.of(find(None, {"KUBECONFIG": str(control_plane.kubeconfig())}))


def made(where: str, kind: str, name: str, group: str = "v1", **fields: Any) -> Manifest:
    labels = {names.MANAGED_BY: names.MANAGER, names.SERVICE: "chat"}
    meta = {"name": name, "namespace": where, "labels": labels}
    return {"apiVersion": group, "kind": kind, "metadata": meta, **fields}


def tree(where: str) -> list[Manifest]:
    pod = {"spec": {"containers": [{"name": "ray", "image": "example.invalid/ray"}]}}
    head = {"rayStartParams": {}, "template": pod}
    worker = {**head, "groupName": "replica", "replicas": 1, "minReplicas": 1, "maxReplicas": 1}
    spec = {"rayClusterConfig": {"headGroupSpec": head, "workerGroupSpecs": [worker]}}
    port = {"name": "http", "port": 8000, "targetPort": 8000}
    return [
        made(where, "Service", "chat", spec={"selector": {"a": "b"}, "ports": [port]}),
        made(where, "RayService", "chat-1", "ray.io/v1", spec={"serveConfigV2": "a: 1\n", **spec}),
        made(where, "ConfigMap", "a", data={"x": "1"}),
        made(where, "Secret", "s", data={"k": "Y2FuYXJ5"}),
        made(where, "NetworkPolicy", "shut", "networking.k8s.io/v1", spec={"podSelector": {}}),
    ]


def verbs(client: Client, manifests: list[Manifest]) -> dict[str, str]:
    return {change.kind: change.verb for change in preview(client, manifests)}


def test_a_preview_changes_nothing_and_the_second_apply_writes_nothing(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    where, wanted = namespace_of_test, tree(namespace_of_test)
    assert set(verbs(client, wanted).values()) == {"create"}
    assert client.get("Service", "chat", where) is None
    apply_all(client, wanted)
    versions = [client.get(m["kind"], m["metadata"]["name"], where) for m in wanted]
    assert {change.verb for change in apply_all(client, wanted)} == {"unchanged"}
    again = [client.get(m["kind"], m["metadata"]["name"], where) for m in wanted]
    assert again == versions


def test_the_preview_shows_what_the_server_would_change(
    namespace_of_test: str, client: Client
) -> None:
    wanted = tree(namespace_of_test)
    apply_all(client, wanted)
    wanted[0]["spec"]["ports"][0]["targetPort"] = 9000
    wanted[1]["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] = 2
    wanted[3]["data"]["k"] = "b3RoZXI="
    found = {change.kind: change.fields for change in preview(client, wanted) if change.fields}
    told = {kind: [(f.path, f.before, f.after) for f in fields] for kind, fields in found.items()}
    group = '.spec.rayClusterConfig.workerGroupSpecs[groupName="replica"]'
    assert told == {
        "Service": [('.spec.ports[port=8000,protocol="TCP"].targetPort', 8000, 9000)],
        "RayService": [(f"{group}.replicas", 1, 2)],
        "Secret": [(".data.k", "(hidden)", "(hidden)")],
    }


def test_an_edit_by_kubectl_is_shown_refused_and_kept_until_it_is_taken_over(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    where, wanted = namespace_of_test, tree(namespace_of_test)
    apply_all(client, wanted)
    patch = {"spec": {"serveConfigV2": "b: 2\n"}}
    told = ("--type=merge", f"--patch={json.dumps(patch)}", f"--namespace={where}")
    control_plane.kubectl("patch", "rayservice", "chat-1", *told)
    control_plane.kubectl("label", "service", "chat", "team=x", f"--namespace={where}")
    wanted[2]["data"]["x"] = "2"
    with pytest.raises(Conflicted, match=r"RayService/chat-1: \.spec\.serveConfigV2 is set by kub"):
        apply_all(client, wanted)
    assert verbs(client, wanted)["ConfigMap"] == "update", "something was written all the same"
    found = drift(client, wanted, service="chat", namespace=where, kinds=KINDS)
    fields = {f.path: f for one in found for f in one.fields}
    edit, label = fields[".spec.serveConfigV2"], fields[".metadata.labels.team"]
    assert (edit.wanted, edit.found, edit.manager) == ("a: 1\n", "b: 2\n", "kubectl-patch")
    assert (label.found, label.manager, label.ours) == ("x", "kubectl-label", False)
    assert edit.time
    apply_all(client, wanted, force=True)
    (left,) = drift(client, wanted, service="chat", namespace=where, kinds=KINDS)
    assert [f.path for f in left.fields] == [".metadata.labels.team"]


def test_what_changed_since_the_preview_is_not_written_over(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    where, wanted = namespace_of_test, tree(namespace_of_test)
    apply_all(client, wanted)
    seen = {change.key: change.seen for change in preview(client, wanted)}
    control_plane.kubectl("annotate", "service", "chat", "by=hand", f"--namespace={where}")
    status = json.dumps({"status": {"serviceStatus": "Running"}})
    moved = ("--subresource=status", "--type=merge", f"--patch={status}", f"--namespace={where}")
    control_plane.kubectl("patch", "rayservice", "chat-1", *moved)
    client.delete("ConfigMap", "a", where)
    before = client.get("Service", "chat", where)
    with pytest.raises(Changed, match="since the plan was shown: Service/chat, ConfigMap/a"):
        apply_all(client, wanted, expected=seen)
    assert client.get("Service", "chat", where) == before
    assert client.get("ConfigMap", "a", where) is None


def test_a_deleted_object_is_not_made_again_by_a_pinned_write(
    namespace_of_test: str, client: Client
) -> None:
    wanted = tree(namespace_of_test)[2]
    live = client.apply(wanted)
    client.delete("ConfigMap", "a", namespace_of_test)
    pins = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
    with pytest.raises(Changed):
        client.apply({**wanted, "metadata": {**wanted["metadata"], **pins}})
    assert client.get("ConfigMap", "a", namespace_of_test) is None


def test_nothing_is_written_when_one_object_is_refused(
    namespace_of_test: str, client: Client
) -> None:
    wanted = tree(namespace_of_test)
    wanted[0]["spec"]["ports"][0]["port"] = 800_000
    wanted[1]["spec"]["flavour"] = "odd"
    with pytest.raises(RefusedError, match="refuses 2 objects") as refused:
        apply_all(client, wanted)
    assert "spec.flavour" in refused.value.message
    assert client.list("ConfigMap", namespace_of_test, {names.SERVICE: "chat"}) == []


def test_only_what_is_ours_and_no_state_is_pruned(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    where, wanted = namespace_of_test, tree(namespace_of_test)
    apply_all(client, wanted)
    foreign = made(where, "Service", "foreign", spec={"ports": [{"port": 1}]})
    control_plane.kubectl("create", "--filename=-", input=json.dumps(foreign))
    done = prune(client, where, "chat", [key_of(wanted[1])], KINDS)
    assert {(change.kind, change.name) for change in done} == {
        ("Service", "chat"),
        ("NetworkPolicy", "shut"),
    }
    assert client.get("Service", "foreign", where) is not None
    assert client.get("Secret", "s", where) is not None


def test_two_hundred_objects_take_no_longer_than_with_kubectl(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    def many(name: str) -> list[Manifest]:
        data = {"x": "1" * 1000}
        return [made(namespace_of_test, "ConfigMap", f"{name}-{n}", data=data) for n in range(200)]

    client.version()
    ratios = []
    for turn in range(3):
        listed = {"apiVersion": "v1", "kind": "List", "items": many(f"k{turn}")}
        begun = time.monotonic()
        control_plane.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(listed))
        theirs = time.monotonic() - begun
        begun = time.monotonic()
        apply_all(client, many(f"l{turn}"))
        ratios.append((time.monotonic() - begun) / theirs)
    assert min(ratios) <= 1.25, ratios
