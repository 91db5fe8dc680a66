"""Whom a service's pods are towards the API server: nobody, unless Ray's autoscaler runs.

Secrets are never made here. Their values (the token, hashes of keys) are made once in the cluster
by the target, and pods mount them.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import core_v1, rbac_v1

from clusters.model import Manifest, ServiceState
from clusters.objects.about import described
from clusters.objects.documents import document

COMPONENT = "access"
RBAC = "rbac.authorization.k8s.io"

ACCOUNT = "Identity of the pods. They get no token for the API server unless one asks for it."
AUTOSCALER = (
    "What Ray's autoscaler beside the head needs: to read pods, and to set how many replicas its"
    " RayCluster has. Only there while a release has a range of replicas."
)


def access(state: ServiceState) -> Iterator[Manifest]:
    """ServiceAccount of the service's pods; Role and RoleBinding when a runtime autoscales."""
    yield document(_account(state))
    if any(runtime.autoscaled for runtime in state.runtimes):
        yield document(_role(state))
        yield document(_binding(state))


def _account(state: ServiceState) -> core_v1.ServiceAccount:
    return core_v1.ServiceAccount(
        apiVersion="v1",
        kind="ServiceAccount",
        metadata=described(state, state.service, COMPONENT, ACCOUNT),
        automountServiceAccountToken=False,
    )


def _role(state: ServiceState) -> rbac_v1.Role:
    """Reads pods, reads and patches RayClusters: what the autoscaler's code asks for.

    KubeRay's operator binds a Role of its own to the head's ServiceAccount (`BuildRole` in
    ray-operator/controllers/ray/common/rbac.go): get, list, watch and patch of pods, patch of
    pods/resize, get and patch of rayclusters. Ray's provider
    (ray/autoscaler/v2/instance_manager/cloud_providers/kuberay) watches nothing, and patches pods
    only to resize them in place, which is not used; so neither is in ours. Names cannot narrow it:
    KubeRay ends a RayCluster's name with letters of its own choice.
    """
    return rbac_v1.Role(
        apiVersion=f"{RBAC}/v1",
        kind="Role",
        metadata=described(state, autoscaler(state.service), COMPONENT, AUTOSCALER),
        rules=[
            rbac_v1.PolicyRule(apiGroups=[""], resources=["pods"], verbs=["get", "list"]),
            rbac_v1.PolicyRule(
                apiGroups=["ray.io"], resources=["rayclusters"], verbs=["get", "patch"]
            ),
        ],
    )


def _binding(state: ServiceState) -> rbac_v1.RoleBinding:
    return rbac_v1.RoleBinding(
        apiVersion=f"{RBAC}/v1",
        kind="RoleBinding",
        metadata=described(state, autoscaler(state.service), COMPONENT, AUTOSCALER),
        roleRef=rbac_v1.RoleRef(apiGroup=RBAC, kind="Role", name=autoscaler(state.service)),
        subjects=[
            rbac_v1.Subject(kind="ServiceAccount", name=state.service, namespace=state.namespace)
        ],
    )


def autoscaler(service: str) -> str:
    """Name of the autoscaler's Role and RoleBinding."""
    return f"{service}-autoscaler"
