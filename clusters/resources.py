"""The kinds of objects that llmops reads or writes, and their paths at the API server.

A table instead of discovery: discovery costs a round trip per group and is cached stale, and llmops
knows every kind it uses. It refuses kinds that are not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import quote

from clusters.model import Manifest
from llmops.errors import LlmopsError


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of one kind are found. `group` is empty for the core group."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As `apiVersion` of a manifest says it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Path of the group's version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of an object, or of all objects when `name` is empty.

        An empty `namespace` means every namespace, for kinds that live in one.
        """
        within = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        parts = (self.plural, quote(name, safe=":"), subresource)
        return f"{self.root}{within}/" + "/".join(part for part in parts if part)


def _group(
    group: str, version: str, kinds: Iterable[tuple[str, str]], *, namespaced: bool = True
) -> list[Resource]:
    return [Resource(kind, group, version, plural, namespaced) for kind, plural in kinds]


_TABLE = [
    *_group("", "v1", [
        ("ConfigMap", "configmaps"), ("Endpoints", "endpoints"), ("Event", "events"),
        ("LimitRange", "limitranges"), ("PersistentVolumeClaim", "persistentvolumeclaims"),
        ("Pod", "pods"), ("ResourceQuota", "resourcequotas"), ("Secret", "secrets"),
        ("Service", "services"), ("ServiceAccount", "serviceaccounts"),
    ]),
    *_group("", "v1", [
        ("Namespace", "namespaces"), ("Node", "nodes"), ("PersistentVolume", "persistentvolumes"),
    ], namespaced=False),
    *_group("apps", "v1", [
        ("DaemonSet", "daemonsets"), ("Deployment", "deployments"), ("ReplicaSet", "replicasets"),
        ("StatefulSet", "statefulsets"),
    ]),
    *_group("batch", "v1", [("Job", "jobs")]),
    *_group("rbac.authorization.k8s.io", "v1", [
        ("Role", "roles"), ("RoleBinding", "rolebindings"),
    ]),
    *_group("rbac.authorization.k8s.io", "v1", [
        ("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings"),
    ], namespaced=False),
    *_group("networking.k8s.io", "v1", [
        ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies"),
    ]),
    *_group("networking.k8s.io", "v1", [("IngressClass", "ingressclasses")], namespaced=False),
    *_group("policy", "v1", [("PodDisruptionBudget", "poddisruptionbudgets")]),
    *_group("scheduling.k8s.io", "v1", [("PriorityClass", "priorityclasses")], namespaced=False),
    *_group("coordination.k8s.io", "v1", [("Lease", "leases")]),
    *_group("discovery.k8s.io", "v1", [("EndpointSlice", "endpointslices")]),
    *_group("storage.k8s.io", "v1", [("StorageClass", "storageclasses")], namespaced=False),
    *_group("node.k8s.io", "v1", [("RuntimeClass", "runtimeclasses")], namespaced=False),
    *_group("apiextensions.k8s.io", "v1", [
        ("CustomResourceDefinition", "customresourcedefinitions"),
    ], namespaced=False),
    *_group("ray.io", "v1", [
        ("RayCluster", "rayclusters"), ("RayJob", "rayjobs"), ("RayService", "rayservices"),
    ]),
    *_group("gateway.networking.k8s.io", "v1", [
        ("Gateway", "gateways"), ("HTTPRoute", "httproutes"),
    ]),
    *_group("gateway.networking.k8s.io", "v1beta1", [("ReferenceGrant", "referencegrants")]),
    *_group("cert-manager.io", "v1", [("Certificate", "certificates"), ("Issuer", "issuers")]),
    *_group("cert-manager.io", "v1", [("ClusterIssuer", "clusterissuers")], namespaced=False),
    *_group("monitoring.coreos.com", "v1", [
        ("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules"),
        ("ServiceMonitor", "servicemonitors"),
    ]),
    *_group("kueue.x-k8s.io", "v1beta1", [
        ("LocalQueue", "localqueues"), ("Workload", "workloads"),
    ]),
    *_group("kueue.x-k8s.io", "v1beta1", [
        ("ClusterQueue", "clusterqueues"), ("ResourceFlavor", "resourceflavors"),
        ("Topology", "topologies"),
    ], namespaced=False),
]  # fmt: skip

RESOURCES = {resource.kind: resource for resource in _TABLE}
"""Every kind that llmops knows, by its name."""


def resource(kind: str) -> Resource:
    """The table's row of a kind.

    Raises:
        LlmopsError: When llmops does not know the kind.
    """
    try:
        return RESOURCES[kind]
    except KeyError as error:
        raise LlmopsError(f"llmops does not know objects of kind {kind}") from error


def resource_of(manifest: Manifest) -> Resource:
    """The row of a manifest's kind, at the version that the manifest names."""
    row = resource(str(manifest["kind"]))
    group, _, version = str(manifest["apiVersion"]).rpartition("/")
    if group != row.group:
        raise LlmopsError(
            f"llmops knows {row.kind} of {row.api_version}, not of {manifest['apiVersion']}"
        )
    return row if version == row.version else replace(row, version=version)


def pod_proxy(namespace: str, pod: str, port: int, path: str = "/") -> str:
    """Path at the API server of a path at a pod's port."""
    base = RESOURCES["Pod"].path(namespace, f"{pod}:{port}", "proxy")
    return f"{base}/{path.lstrip('/')}"


def service_proxy(namespace: str, service: str, port: int | str, path: str = "/") -> str:
    """Path at the API server of a path at a Service's port (its number or its name)."""
    base = RESOURCES["Service"].path(namespace, f"{service}:{port}", "proxy")
    return f"{base}/{path.lstrip('/')}"
