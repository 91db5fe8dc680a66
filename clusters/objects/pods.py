"""What all pods of a runtime have in common: who they are, what they may do, where they may run.

Every pod passes the Pod Security level `restricted`. The one exception is the user's own: with RDMA
a replica may lock memory (IPC_LOCK), which that level forbids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lightkube.models import core_v1, meta_v1

from clusters import names
from clusters.model import Runtime
from clusters.objects import labels
from clusters.objects.disruption import priority_name
from clusters.objects.sizes import Size, resources
from clusters.objects.volumes import Place

USER = 1000
"""User and group of every process; the image has them. Not root, and the same in every pod, so that
pods can share a volume."""

METRICS_PORT = 8080
"""Where Ray's own metrics are scraped in every pod."""


@dataclass(frozen=True, slots=True)
class PodParts:
    """What differs between the pods of head, gateways and replicas."""

    role: str
    size: Size
    env: list[core_v1.EnvVar]
    places: list[Place]
    ports: dict[str, int]
    grace: int
    """Seconds between being told to end and being killed."""
    devices: dict[str, int] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    api_access: bool = False
    """Whether a token for the API server is mounted."""


def container_security(capabilities: tuple[str, ...] = ()) -> core_v1.SecurityContext:
    """No privilege beyond `capabilities`, and nothing to write to but the mounted volumes."""
    return core_v1.SecurityContext(
        allowPrivilegeEscalation=False,
        readOnlyRootFilesystem=True,
        capabilities=core_v1.Capabilities(drop=["ALL"], add=list(capabilities) or None),
    )


def pull_policy(image: str) -> str:
    """A digest names one content for ever; a tag may have been moved since the node pulled it."""
    return "IfNotPresent" if "@sha256:" in image else "Always"


def container(runtime: Runtime, parts: PodParts) -> core_v1.Container:
    """The pod's only container. KubeRay writes its command, `ray start`.

    A port's protocol is part of what names it in a list; without it two writers would not mean the
    same port.
    """
    ports = parts.ports | {"metrics": METRICS_PORT}
    return core_v1.Container(
        name=parts.role,
        image=runtime.shape.image,
        imagePullPolicy=pull_policy(runtime.shape.image),
        ports=[
            core_v1.ContainerPort(name=n, containerPort=p, protocol="TCP") for n, p in ports.items()
        ],
        env=parts.env,
        resources=resources(parts.size, parts.devices),
        volumeMounts=[place.mount for place in parts.places],
        securityContext=container_security(parts.capabilities),
    )


def template(
    runtime: Runtime, namespace: str, parts: PodParts, only: core_v1.Container
) -> core_v1.PodTemplateSpec:
    """The pod around its container."""
    return core_v1.PodTemplateSpec(
        metadata=meta_v1.ObjectMeta(
            labels=labels.labels(runtime.service, parts.role, runtime.id) | {names.ROLE: parts.role}
        ),
        spec=_spec(runtime, namespace, parts, only),
    )


def _spec(
    runtime: Runtime, namespace: str, parts: PodParts, only: core_v1.Container
) -> core_v1.PodSpec:
    target = runtime.shape.target
    return core_v1.PodSpec(
        containers=[only],
        volumes=[place.volume for place in parts.places],
        serviceAccountName=runtime.service,
        automountServiceAccountToken=parts.api_access,
        # Addresses of every Service of the namespace as variables: nobody here reads them.
        enableServiceLinks=False,
        securityContext=_pod_security(),
        imagePullSecrets=[core_v1.LocalObjectReference(name=n) for n in target.pull_secrets],
        priorityClassName=_priority(runtime, namespace),
        terminationGracePeriodSeconds=parts.grace,
    )


def _priority(runtime: Runtime, namespace: str) -> str | None:
    value = runtime.shape.target.priority
    return None if value is None else priority_name(namespace, runtime.service, value)


def _pod_security() -> core_v1.PodSecurityContext:
    return core_v1.PodSecurityContext(
        runAsNonRoot=True,
        runAsUser=USER,
        runAsGroup=USER,
        fsGroup=USER,
        # Or kubelet would change the owner of every file of a weights volume at each start.
        fsGroupChangePolicy="OnRootMismatch",
        seccompProfile=core_v1.SeccompProfile(type="RuntimeDefault"),
    )
