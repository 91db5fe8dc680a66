"""The order of an apply, and when it refuses; what differs between two states of an object."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from clusters import names
from clusters.apply import Key, apply_all, extra, key_of, preview, prune
from clusters.difference import differences, fingerprint
from clusters.model import Manifest
from clusters.ports import Writer
from clusters.trouble import Changed, Conflicted, Owned, Rejected
from llmops.errors import RefusedError
from llmops.releases import Conflict

OURS = {names.MANAGED_BY: names.MANAGER, names.SERVICE: "chat"}


class Cluster:
    """Keeps objects as llmops' applies leave them: a field that is set is ours, unless `held`."""

    def __init__(self) -> None:
        self.objects: dict[Key, Manifest] = {}
        self.held: dict[Key, tuple[Owned, ...]] = {}
        """Fields that others own."""
        self.refused: set[Key] = set()
        self.written: list[Key] = []
        self.deleted: list[Key] = []
        self.before_write: Iterator[Any] = iter(())
        """Advanced before each write: another writer."""
        self._version = 0

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def list(self, kind: str, namespace: str = "", labels: Any = None, fields: str = "") -> Any:
        return [
            copy.deepcopy(one)
            for (of, where, _), one in self.objects.items()
            if (of, where) == (kind, namespace)
            and labels.items() <= one["metadata"].get("labels", {}).items()
        ]

    def dry_run(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        key = key_of(manifest)
        if key in self.refused:
            raise Rejected(f"{key[2]} is not valid")
        if key in self.held and not force:
            raise Conflicted("others own fields", hint="", owned=self.held[key])
        return self._after(manifest)

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        next(self.before_write, None)
        key, pin = key_of(manifest), manifest["metadata"].get("resourceVersion")
        live = self.objects.get(key)
        if pin and (live is None or live["metadata"]["resourceVersion"] != pin):
            raise Changed(f"{key[2]} was changed")
        self.dry_run(manifest, force=force)
        self.written.append(key)
        return self.put(self._after(manifest))

    def put(self, manifest: Manifest) -> Manifest:
        self._version += 1
        meta = {**manifest["metadata"], "resourceVersion": str(self._version)}
        meta.setdefault("uid", f"uid-{self._version}")
        self.objects[key_of(manifest)] = {**manifest, "metadata": meta}
        return copy.deepcopy(self.objects[key_of(manifest)])

    def delete(self, kind: str, name: str, namespace: str = "", **exact: Any) -> bool:
        next(self.before_write, None)
        live = self.objects.get((kind, namespace, name))
        if live is None:
            return False
        if live["metadata"]["resourceVersion"] != exact["resource_version"]:
            raise Conflict("it was written")
        self.deleted.append((kind, namespace, name))
        del self.objects[kind, namespace, name]
        return True

    def _after(self, manifest: Manifest) -> Manifest:
        live = self.objects.get(key_of(manifest), {"metadata": {}})
        owned: dict[str, Any] = {
            f"f:{key}": {} for key in manifest if key not in {"metadata", "kind"}
        }
        entry = {"manager": names.MANAGER, "operation": "Apply", "fieldsV1": owned}
        meta = {**live["metadata"], **manifest["metadata"], "managedFields": [entry]}
        if "resourceVersion" in live["metadata"]:
            meta["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {**live, **copy.deepcopy(manifest), "metadata": meta}


def made(kind: str, name: str, group: str = "v1", **fields: Any) -> Manifest:
    meta = {"name": name, "namespace": "ml", "labels": dict(OURS)}
    return {"apiVersion": group, "kind": kind, "metadata": meta, **fields}


def tree() -> list[Manifest]:
    return [
        made("Service", "chat", spec={"ports": [{"port": 8000, "name": "http"}]}),
        made("RayService", "chat-1", "ray.io/v1", spec={"serveConfigV2": "a"}),
        made("ConfigMap", "a", data={"x": "1"}),
        made("ConfigMap", "b", data={"x": "1"}),
        made("NetworkPolicy", "shut", "networking.k8s.io/v1", spec={"podSelector": {}}),
    ]


def as_writer(cluster: Cluster) -> Writer:
    return cluster  # type: ignore[return-value]  # the part of a Writer that an apply takes


def verbs(cluster: Cluster, manifests: list[Manifest]) -> list[str]:
    return [change.verb for change in preview(as_writer(cluster), manifests)]


def test_what_bounds_pods_is_written_before_them_and_what_leads_to_them_after() -> None:
    cluster = Cluster()
    apply_all(as_writer(cluster), tree())
    kinds = [kind for kind, _, _ in cluster.written]
    assert kinds == ["NetworkPolicy", "ConfigMap", "ConfigMap", "RayService", "Service"]


def test_the_second_apply_writes_nothing() -> None:
    cluster = Cluster()
    assert verbs(cluster, tree()) == ["create"] * 5
    apply_all(as_writer(cluster), tree())
    cluster.written.clear()
    assert {change.verb for change in apply_all(as_writer(cluster), tree())} == {"unchanged"}
    assert cluster.written == []


def test_only_what_differs_is_written_and_the_preview_says_what() -> None:
    cluster, wanted = Cluster(), tree()
    apply_all(as_writer(cluster), wanted)
    cluster.written.clear()
    wanted[2]["data"]["x"] = "2"
    (change,) = [c for c in preview(as_writer(cluster), wanted) if c.verb == "update"]
    assert [(f.path, f.before, f.after) for f in change.fields] == [(".data.x", "1", "2")]
    apply_all(as_writer(cluster), wanted)
    assert cluster.written == [("ConfigMap", "ml", "a")]


def test_an_equal_object_that_somebody_else_made_becomes_ours() -> None:
    cluster = Cluster()
    cluster.put(tree()[2])
    assert verbs(cluster, tree()[2:3]) == ["update"]


def test_nothing_is_written_when_one_object_is_refused() -> None:
    cluster = Cluster()
    cluster.refused = {("ConfigMap", "ml", "b"), ("Service", "ml", "chat")}
    with pytest.raises(RefusedError, match="refuses 2 objects:\n- chat is not valid\n- b is not"):
        apply_all(as_writer(cluster), tree())
    assert cluster.written == []


def test_a_field_that_others_set_is_named_with_its_owner_and_left_alone() -> None:
    cluster, key = Cluster(), ("Service", "ml", "chat")
    cluster.put(tree()[0])
    cluster.held[key] = (Owned("kubectl-edit", ".spec.ports"),)
    (change,) = preview(as_writer(cluster), tree()[:1])
    assert change.conflicts == cluster.held[key]
    with pytest.raises(
        Conflicted, match=r"Service/chat: \.spec\.ports is set by kubectl-edit"
    ) as no:
        apply_all(as_writer(cluster), tree())
    assert "llmops diff chat" in no.value.hint
    assert "--take-ownership" in no.value.hint
    assert cluster.written == []
    apply_all(as_writer(cluster), tree(), force=True)
    assert key in cluster.written


def test_what_llmops_itself_wrote_another_way_is_taken_over() -> None:
    cluster, key = Cluster(), ("ConfigMap", "ml", "a")
    cluster.put(tree()[2])
    cluster.held[key] = (Owned(names.MANAGER, ".data.x"),)
    apply_all(as_writer(cluster), tree()[2:3])
    assert cluster.written == [key]


def test_it_is_refused_when_something_changed_since_the_preview() -> None:
    cluster, wanted = Cluster(), tree()
    apply_all(as_writer(cluster), wanted)
    seen = {change.key: change.seen for change in preview(as_writer(cluster), wanted)}
    cluster.put({**cluster.objects["ConfigMap", "ml", "a"], "data": {"x": "9"}})
    del cluster.objects["Service", "ml", "chat"]
    cluster.written.clear()
    with pytest.raises(Changed, match="since the plan was shown: Service/chat, ConfigMap/a"):
        apply_all(as_writer(cluster), wanted, expected=seen)
    assert cluster.written == []


def test_a_status_that_moves_on_does_not_matter() -> None:
    cluster, wanted = Cluster(), tree()[1:2]
    apply_all(as_writer(cluster), wanted)
    seen = {change.key: change.seen for change in preview(as_writer(cluster), wanted)}

    def statuses() -> Iterator[None]:
        for number in range(3):
            live = cluster.objects["RayService", "ml", "chat-1"]
            cluster.put({**live, "status": {"number": number}})
            yield

    cluster.before_write = statuses()
    wanted[0]["spec"]["serveConfigV2"] = "b"
    apply_all(as_writer(cluster), wanted, expected=seen)
    assert cluster.objects["RayService", "ml", "chat-1"]["spec"] == {"serveConfigV2": "b"}


def test_a_write_in_between_is_never_written_over() -> None:
    cluster, wanted = Cluster(), tree()[2:3]
    apply_all(as_writer(cluster), wanted)
    wanted[0]["data"]["x"] = "2"

    def edit() -> Iterator[None]:
        cluster.put({**cluster.objects["ConfigMap", "ml", "a"], "data": {"x": "by hand"}})
        yield

    cluster.before_write = edit()
    with pytest.raises(Changed):
        apply_all(as_writer(cluster), wanted)
    assert cluster.objects["ConfigMap", "ml", "a"]["data"] == {"x": "by hand"}


KINDS = ("ConfigMap", "NetworkPolicy", "RayService", "Secret", "Service")


def test_only_what_is_ours_and_not_in_the_tree_is_pruned() -> None:
    cluster = Cluster()
    stranger = made("Service", "stranger")
    cluster.put(stranger)
    other = made("NetworkPolicy", "other", "networking.k8s.io/v1")
    other["metadata"]["labels"][names.SERVICE] = "another"
    apply_all(as_writer(cluster), [*tree(), made("Secret", "s"), other])
    keep = [key_of(manifest) for manifest in tree()[:1]]
    args = as_writer(cluster), "ml", "chat", keep, KINDS
    assert {key_of(one)[2] for one in extra(*args)} == {"chat-1", "shut"}
    done = prune(*args)
    assert {change.name: change.verb for change in done} == {"chat-1": "prune", "shut": "prune"}
    assert prune(*args) == ()


def test_what_loses_our_label_in_between_is_not_pruned() -> None:
    cluster = Cluster()
    apply_all(as_writer(cluster), tree()[1:2])

    def adopt() -> Iterator[None]:
        live = copy.deepcopy(cluster.objects["RayService", "ml", "chat-1"])
        live["metadata"]["labels"] = {}
        cluster.put(live)
        yield

    cluster.before_write = adopt()
    assert prune(as_writer(cluster), "ml", "chat", [], KINDS) == ()
    assert cluster.deleted == []


def changes(before: Any, after: Any, kind: str = "X") -> dict[str, tuple[object, object]]:
    old, new = ({"kind": kind, "metadata": {}, **side} for side in (before, after))
    return {one.path: (one.before, one.after) for one in differences(old, new)}


def test_items_of_lists_are_told_apart_as_the_server_does() -> None:
    ports = [{"port": 1, "protocol": "TCP", "name": "a"}, {"port": 2, "protocol": "TCP"}]
    assert changes({"ports": ports}, {"ports": [{**ports[1], "name": "b"}, ports[0]]}) == {
        '.ports[port=2,protocol="TCP"].name': (None, "b")
    }
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert changes({"env": env}, {"env": env[:1]}) == {'.env[name="B"]': (env[1], None)}
    assert changes({"args": ["a", "b"]}, {"args": ["a", "c"]}) == {".args[1]": ("b", "c")}


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    old = {"metadata": {"resourceVersion": "1", "generation": 1}, "status": {"a": 1}, "spec": {}}
    new = {"metadata": {"resourceVersion": "2", "generation": 2}, "status": {}, "spec": {}}
    assert differences(old, new) == ()
    assert fingerprint(old) == fingerprint(new)
    assert fingerprint(old) != fingerprint({**old, "spec": {"a": 0}})
    assert fingerprint(None) == ""


def test_nothing_and_empty_are_the_same_but_zero_is_a_value() -> None:
    assert changes({"a": None, "b": {}, "c": ""}, {"c": None}) == {}
    assert changes({"replicas": 0}, {}) == {".replicas": (0, None)}


def test_what_is_in_a_secret_is_never_shown() -> None:
    found = changes({"data": {"k": "Y2FuYXJ5"}}, {"data": {"k": "b3RoZXI="}}, kind="Secret")
    assert found == {".data.k": ("(hidden)", "(hidden)")}
    assert changes({}, {"data": {"k": "Y2FuYXJ5"}}, kind="Secret") == {
        ".data": (None, {"k": "(hidden)"})
    }
