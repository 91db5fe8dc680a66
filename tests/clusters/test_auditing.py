"""What an audit finds in a namespace's objects, with the object; what is as it should be is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.auditing.around import exposed_services, foreign_policies, security_of
from clusters.auditing.drifted import drifted, other_versions
from clusters.auditing.pods import (
    Allowed,
    loose_images,
    loose_settings,
    readable_secrets,
    secret_variables,
    strangers,
)
from clusters.auditing.rights import rights
from clusters.drift import Drift, FieldDrift
from clusters.trouble import Forbidden
from llmops.policies import Severity
from llmops.releases import State
from tests.releases.plans import release

Json = dict[str, Any]
CASES = Path(__file__).parents[1] / "cases/audit_objects"
OURS = {"app.kubernetes.io/managed-by": "llmops", "llmops/service": "chat"}


def cases(name: str) -> list[Any]:
    found = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    return [pytest.param(one, id=one["case"]) for one in found]


DIGEST = "registry.example/llmops@sha256:" + "0" * 64


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "chat-0"}, "spec": {"containers": [container]}}


def field(*, ours: bool) -> FieldDrift:
    return FieldDrift(
        "spec.ingress", [], [{"from": []}], "kubectl-edit", "Update", "2026-11-28T10:00:00Z", ours
    )


def test_a_network_policy_that_is_gone_blocks() -> None:
    [found] = drifted(Drift("NetworkPolicy", "llm", "chat", "missing"), "chat")
    assert found.blocks
    assert found.message == "NetworkPolicy/chat is missing"


@pytest.mark.parametrize(("ours", "severity"), [(True, Severity.BLOCK), (False, Severity.WARN)])
def test_an_edit_is_told_with_who_made_it(ours: bool, severity: Severity) -> None:
    one = Drift("NetworkPolicy", "llm", "chat", "changed", (field(ours=ours),))
    [found] = drifted(one, "chat")
    assert found.severity is severity
    assert "set by kubectl-edit at 2026-11-28T10:00:00Z" in found.proof


@pytest.mark.parametrize(
    ("level", "clean"),
    [("restricted", True), ("baseline", True), ("privileged", False), (None, False)],
)
def test_a_namespace_that_takes_any_pod_is_told(level: str | None, clean: bool) -> None:
    found = list(security_of("llm", level))
    assert [one.id for one in found] == ([] if clean else ["audit.pod-security"])


def test_an_image_by_tag_is_told_and_one_by_digest_is_clean() -> None:
    [found] = loose_images(pod(image="registry.example/llmops:1"))
    assert found.proof == "Pod/chat-0: registry.example/llmops:1"
    assert list(loose_images(pod(image=DIGEST))) == []


def test_a_secret_in_a_variable_is_told_by_its_name_alone() -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    plain = {"name": "HOME", "value": "/var/lib/llmops"}
    [found] = secret_variables(pod(env=[secret, plain]), Allowed())
    assert found.proof == "Pod/chat-0: TOKEN"


def test_rays_token_in_the_variable_that_kuberay_writes_is_clean() -> None:
    secret = {"name": "chat-ray-token", "key": "auth_token"}
    own = {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": secret}}
    allowed = Allowed(ray_token="chat-ray-token")
    assert list(secret_variables(pod(env=[own]), allowed)) == []
    other = {**own, "name": "TOKEN"}
    assert len(list(secret_variables(pod(env=[other]), allowed))) == 1


@pytest.mark.parametrize(
    ("secret", "mode"),
    [
        ({"secretName": "s", "defaultMode": 0o440}, ""),
        ({"secretName": "s", "defaultMode": 0o644}, "0644"),
        ({"secretName": "s"}, "0644"),
        ({"secretName": "s", "defaultMode": 0o400, "items": [{"mode": 0o404}]}, "0404"),
    ],
    ids=["group", "others", "by default", "one file"],
)
def test_a_secret_that_every_user_in_a_pod_may_read_is_told(secret: Json, mode: str) -> None:
    mounted = {"metadata": {"name": "chat-0"}, "spec": {"volumes": [{"secret": secret}]}}
    found = [one.proof for one in readable_secrets(mounted)]
    assert found == ([f"Pod/chat-0: Secret/s, mode {mode}"] if mode else [])


def test_a_pod_that_no_runtime_made_is_told() -> None:
    made: Json = {"metadata": {"name": "chat-0", "ownerReferences": [{"uid": "1"}]}}
    assert list(strangers(made, {"1"})) == []
    [found] = strangers({"metadata": {"name": "chat-0"}}, {"1"})
    assert found.blocks
    other = {"uid": "2", "kind": "ReplicaSet", "name": "web"}
    [found] = strangers({"metadata": {"name": "chat-0", "ownerReferences": [other]}}, {"1"})
    assert found.proof == "Pod/chat-0: owned by ReplicaSet/web"


def test_another_engine_than_the_plans_is_told() -> None:
    live = release(3, State.LIVE)
    assert list(other_versions({"engine": live.plan.engine.version}, live)) == []
    [found] = other_versions({"engine": "vllm 0.1"}, live)
    assert "a gateway tells vllm 0.1" in found.proof


@pytest.mark.parametrize("case", cases("pods"))
def test_what_a_pod_may_do_beyond_its_need_is_told(case: Json) -> None:
    context: Json = {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}, **case.get("container", {}),
    }  # fmt: skip
    holder = "initContainers" if case.get("init") else "containers"
    spec: Json = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        holder: [{"name": "main", "securityContext": context}], **case.get("pod", {}),
    }  # fmt: skip
    metadata = {"name": "chat-0", "labels": {"llmops/role": case.get("role", "replica")}}
    allowed: Json = case.get("allowed", {})
    permitted = Allowed(
        frozenset(allowed.get("capabilities", ())), frozenset(allowed.get("folders", ())),
        autoscaler=allowed.get("autoscaler", False),
    )  # fmt: skip
    found = list(loose_settings({"metadata": metadata, "spec": spec}, permitted))
    assert len(found) == len(case["finds"]), found
    assert all(says in one.message for says, one in zip(case["finds"], found, strict=True))
    assert all(one.proof.startswith("Pod/chat-0: ") for one in found)


@pytest.mark.parametrize("case", cases("around"))
def test_what_others_put_around_the_pods_is_told(case: Json) -> None:
    labels = {"llmops/service": "chat", "llmops/role": "gateway", "ray.io/node-type": "worker"}
    pods = [{"metadata": {"name": "chat-0", "labels": labels}}]
    metadata = {"name": "theirs", "labels": OURS if case.get("ours") else {}}
    if "policy" in case:
        one = {"metadata": metadata, "spec": case["policy"]}
        found = list(foreign_policies([one], pods, "chat"))
    else:
        found = list(
            exposed_services([{"metadata": metadata, "spec": case["service"]}], pods, "chat")
        )
    assert [one.proof for one in found] == case["finds"]


class Rights:
    """A namespace with one binding."""

    def __init__(self, case: Json) -> None:
        self.case = case

    def list(self, kind: str, namespace: str) -> list[Json]:
        assert (kind, namespace) == ("RoleBinding", "llm")
        metadata = {"name": "theirs", "labels": OURS if self.case.get("ours") else {}}
        role = {"kind": "Role", "name": "theirs"}
        return [{"metadata": metadata, "subjects": self.case["subjects"], "roleRef": role}]

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        assert (kind, name, namespace) == ("Role", "theirs", "llm")
        if self.case.get("forbidden"):
            raise Forbidden("may not get roles")
        return {"rules": self.case["rules"]} if "rules" in self.case else None


@pytest.mark.parametrize("case", cases("rights"))
def test_rights_by_which_a_service_can_be_taken_are_told(case: Json) -> None:
    reader: Any = Rights(case)
    found = list(rights(reader, "llm", "chat"))
    assert len(found) == len(case["finds"]), found
    for says, one in zip(case["finds"], found, strict=True):
        assert says in one.message
        assert one.proof == "RoleBinding/theirs gives Role/theirs"
        assert one.blocks
