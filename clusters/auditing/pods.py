"""What a service's pods are, against what they need to be. Pure.

The release says what its pods look like; here are the pods themselves, which KubeRay made, which
admission may have changed since, and beside which somebody may have put others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from clusters import names
from clusters.model import Manifest, Shape
from llmops.policies import Finding, Severity

OTHERS = 0o007
"""Bits of a file's mode that are neither its owner's nor its group's."""

OPEN_BY_DEFAULT = 0o644
"""Mode of a mounted Secret where the volume says none."""

KUBERAYS = "RAY_AUTH_TOKEN"
"""Variable in which KubeRay hands Ray's token to every Ray container: there is no other way."""

TOKEN_USE = "a token for the API server is a way from a pod to the cluster"  # noqa: S105 - words


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a release's own pods have beyond the least."""

    capabilities: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    """Of the node."""
    autoscaler: bool = False
    """Whether the head has a token for the API server."""
    ray_token: str = ""
    """Name of the Secret that KubeRay hands on in a variable."""

    @classmethod
    def of(cls, service: str, shape: Shape) -> Allowed:
        """What the pods of a shape have."""
        weights = shape.target.weights
        return cls(
            frozenset({"IPC_LOCK"} if shape.target.rdma else ()),
            frozenset({weights.path} if weights.kind == "host_path" and weights.path else ()),
            shape.autoscaled,
            names.token_secret(service),
        )


def loose_images(pod: Manifest) -> Iterator[Finding]:
    """Images that may be others tomorrow."""
    for container in _containers(pod):
        if "@sha256:" not in container.get("image", ""):
            yield Finding(
                "audit.images", Severity.WARN, "",
                "a pod runs an image that is not pinned by its digest",
                f"Pod/{pod['metadata']['name']}: {container.get('image', '')}",
                "name the image by its digest in the spec: image: NAME@sha256:…",
            )  # fmt: skip


def secret_variables(pod: Manifest, allowed: Allowed) -> Iterator[Finding]:
    """Secrets in variables, which every child process inherits and a crash report may show."""
    for container in _containers(pod):
        for variable in container.get("env") or ():
            secret = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if secret and (variable["name"], secret.get("name")) != (KUBERAYS, allowed.ray_token):
                yield Finding(
                    "audit.secret-env", Severity.WARN, "",
                    "a pod has a secret in its environment",
                    f"Pod/{pod['metadata']['name']}: {variable['name']}",
                    "mount it as a file",
                )  # fmt: skip


def readable_secrets(pod: Manifest) -> Iterator[Finding]:
    """Secrets in files that any user in the pod may read."""
    for volume in pod["spec"].get("volumes") or ():
        secret = volume.get("secret")
        if secret and (modes := [mode for mode in _modes(secret) if mode & OTHERS]):
            yield Finding(
                "audit.secret-files", Severity.WARN, "",
                "a secret is mounted so that every user in the pod may read it",
                f"Pod/{pod['metadata']['name']}: Secret/{secret.get('secretName')},"
                f" mode {max(modes):04o}",
                "set the volume's defaultMode to 0440",
            )  # fmt: skip


def _modes(secret: Manifest) -> Iterator[int]:
    yield int(secret.get("defaultMode", OPEN_BY_DEFAULT))
    for item in secret.get("items") or ():
        yield int(item.get("mode", 0))


def strangers(pod: Manifest, runtimes: Collection[str]) -> Iterator[Finding]:
    """Pods with the service's labels that no runtime made: its policies let them in everywhere.

    Args:
        pod: A pod with the service's label.
        runtimes: `metadata.uid` of the service's RayClusters.
    """
    owners = pod["metadata"].get("ownerReferences") or ()
    if not any(owner.get("uid") in runtimes for owner in owners):
        told = ", ".join(f"{owner.get('kind')}/{owner.get('name')}" for owner in owners)
        yield Finding(
            "audit.strangers", Severity.BLOCK, "",
            "a pod has the service's labels, and none of its runtimes made it",
            f"Pod/{pod['metadata']['name']}: owned by {told or 'nobody'}",
            f"kubectl delete pod {pod['metadata']['name']}, and find out who made it",
        )  # fmt: skip


def loose_settings(pod: Manifest, allowed: Allowed) -> Iterator[Finding]:
    """What a pod may do that a service needs not."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    told = list(_of_pod(spec, allowed, pod["metadata"].get("labels", {}).get(names.ROLE, "")))
    for container in _containers(pod):
        told += _of_container(container, spec.get("securityContext") or {}, allowed)
    for what, proof, severity in told:
        yield Finding(
            "audit.pod-settings", severity, "", f"a pod {what}", f"Pod/{name}: {proof}",
            "find out who changed it: llmops makes its pods without; llmops deploy replaces them",
        )  # fmt: skip


Told = tuple[str, str, Severity]


def _of_pod(spec: Manifest, allowed: Allowed, role: str) -> Iterator[Told]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield "is in a namespace of its node", f"spec.{field}: true", Severity.BLOCK
    for volume in spec.get("volumes") or ():
        folder = (volume.get("hostPath") or {}).get("path")
        if folder and folder not in allowed.folders:
            proof = f"volume {volume['name']}: hostPath {folder}"
            yield "has a folder of its node", proof, Severity.BLOCK
        if _is_token(volume) and not (allowed.autoscaler and role == names.HEAD):
            yield f"has what it needs not: {TOKEN_USE}", f"volume {volume['name']}", Severity.WARN


def _is_token(volume: Manifest) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any("serviceAccountToken" in source for source in sources)


def _of_container(container: Manifest, pod: Manifest, allowed: Allowed) -> Iterator[Told]:
    name, own = container["name"], container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "is privileged", f"container {name}: privileged: true", Severity.BLOCK
    if own.get("allowPrivilegeEscalation") is not False:
        proof = f"container {name}: allowPrivilegeEscalation is not false"
        yield "may gain privileges", proof, Severity.WARN
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "keeps capabilities", f"container {name}: not all are dropped", Severity.WARN
    if more := set(capabilities.get("add") or ()) - allowed.capabilities:
        proof = f"container {name}: {', '.join(sorted(more))}"
        yield "has capabilities", proof, Severity.BLOCK
    if own.get("readOnlyRootFilesystem") is not True:
        proof = f"container {name}: readOnlyRootFilesystem is not true"
        yield "may write to its image's files", proof, Severity.WARN
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "may run as root", f"container {name}: runAsNonRoot is not true", Severity.WARN
    if (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") in (
        None, "Unconfined",
    ):  # fmt: skip
        yield "may make any system call", f"container {name}: no seccompProfile", Severity.WARN


def _containers(pod: Manifest) -> Iterator[Manifest]:
    for kind in ("initContainers", "containers"):
        yield from pod["spec"].get(kind) or ()
