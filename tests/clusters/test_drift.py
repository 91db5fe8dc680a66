"""Who changed what: from what should be, what is, and what the server would make of it."""

from __future__ import annotations

from typing import Any

from clusters.drift import Drift, FieldDrift, compare
from clusters.model import Manifest

AT = "2026-01-01T00:00:00Z"


def entry(manager: str, fields: dict[str, Any], operation: str = "Update", **more: Any) -> Any:
    return {
        "manager": manager, "operation": operation, "time": AT, "fieldsV1": fields, **more
    }  # fmt: skip


def service(port: int = 8000, owners: Any = (), **meta: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": "ml", "managedFields": list(owners), **meta},
        "spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": port}]},
    }


KEY = 'k:{"port":80,"protocol":"TCP"}'
TARGET: dict[str, Any] = {
    "f:spec": {"f:ports": {".": {}, KEY: {".": {}, "f:port": {}, "f:targetPort": {}}}}
}
APPLIED = entry("llmops", TARGET, "Apply")
PATH = '.spec.ports[port=80,protocol="TCP"].targetPort'


def fields(found: Drift | None) -> tuple[FieldDrift, ...]:
    assert found is not None
    assert (found.kind, found.namespace, found.name) == ("Service", "ml", "chat")
    return found.fields


def test_what_is_as_it_should_be_has_no_drift() -> None:
    live = service(owners=[APPLIED], uid="u", resourceVersion="7")
    assert compare(service(), live, live) is None


def test_what_is_not_there_is_missing() -> None:
    found = compare(service(), None, None)
    assert found == Drift("Service", "ml", "chat", "missing")


def test_an_edit_of_a_field_of_ours_names_who_when_and_both_values() -> None:
    edit: dict[str, Any] = {"f:spec": {"f:ports": {KEY: {"f:targetPort": {}}}}}
    live = service(9000, [APPLIED, entry("kubectl-edit", edit)])
    (field,) = fields(compare(service(), live, service(8000)))
    assert field == FieldDrift(PATH, 8000, 9000, "kubectl-edit", "Update", AT, ours=True)


def test_an_edit_of_a_list_that_is_owned_whole_is_found_too() -> None:
    live = service(9000, [entry("kubectl-edit", {"f:spec": {"f:ports": {}}})])
    (field,) = fields(compare(service(), live, service(8000)))
    assert (field.path, field.manager) == (PATH, "kubectl-edit")


def test_a_field_that_others_add_is_shown_and_said_not_to_be_ours() -> None:
    label = entry("kubectl-label", {"f:metadata": {"f:labels": {".": {}, "f:team": {}}}})
    live = service(owners=[APPLIED, label], labels={"team": "x"})
    (field,) = fields(compare(service(), live, live))
    assert field == FieldDrift(
        ".metadata.labels.team", None, "x", "kubectl-label", "Update", AT, ours=False
    )


def test_what_belongs_to_an_earlier_release_is_ours() -> None:
    live = service(9000, [APPLIED])
    (field,) = fields(compare(service(), live, service(8000)))
    assert (field.manager, field.operation) == ("llmops", "Apply")


def test_the_work_of_controllers_is_no_drift() -> None:
    live = service(
        owners=[
            APPLIED,
            entry("kuberay", {"f:status": {"f:x": {}}}, subresource="status"),
            entry("kube-controller-manager", {"f:metadata": {"f:annotations": {"f:a": {}}}}),
            entry("manager", {"f:metadata": {"f:finalizers": {".": {}, 'v:"x"': {}}}}),
        ],
        annotations={"a": "b"},
        finalizers=["x"],
    )
    assert compare(service(), live, live) is None
