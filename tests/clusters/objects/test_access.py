"""What a service's pods may ask of the API server: nothing, but for Ray's autoscaler."""

from __future__ import annotations

import pytest

from tests.clusters.objects import states
from tests.clusters.objects.made import found, of_kind


@pytest.mark.parametrize("name", states.names())
def test_pods_get_no_token_unless_one_asks(name: str) -> None:
    account = found(states.state(name), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", [name for name in states.names() if name != "autoscaled"])
def test_without_autoscaling_pods_have_no_rights_at_all(name: str) -> None:
    state = states.state(name)
    assert of_kind(state, "Role") == of_kind(state, "RoleBinding") == []


def test_the_autoscaler_reads_pods_and_scales_its_cluster_and_no_more() -> None:
    role = found(states.state("autoscaled"), "Role")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get", "patch"]},
    ]


def test_the_role_is_bound_to_the_services_own_account() -> None:
    state = states.state("autoscaled")
    binding, role = found(state, "RoleBinding"), found(state, "Role")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": state.service, "namespace": state.namespace}
    ]


def test_no_secret_is_made() -> None:
    for name in states.names():
        assert of_kind(states.state(name), "Secret") == []
