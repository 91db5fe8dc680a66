"""What an audit finds in a namespace's objects, with the object; what is as it should be is not."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.auditing import drifted, loose_images, secret_variables, security_of
from clusters.drift import Drift, FieldDrift
from llmops.policies import Severity

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
    [found] = secret_variables(pod(env=[secret, plain]))
    assert found.proof == "Pod/chat-0: TOKEN"
