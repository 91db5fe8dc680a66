"""KubeRay's RayService as typed values: the fields of `ray.io/v1` (KubeRay 1.7) that we use.

A field's name in the API is its name here in camel case: `ray_version` is `rayVersion`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lightkube.models import core_v1, meta_v1

Parameters = dict[str, str]


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """Ray's token authentication. KubeRay gives every Ray container the token by itself."""

    secret_name: str
    """Secret whose key `auth_token` is the token."""
    mode: str = "token"


@dataclass(frozen=True, slots=True)
class Credential:
    """A value that is read from a Secret."""

    value_from: core_v1.EnvVarSource


@dataclass(frozen=True, slots=True)
class GcsFaultToleranceOptions:
    """Where the head's state is kept, so that a lost head is only replaced."""

    redis_address: str
    redis_password: Credential | None


@dataclass(frozen=True, slots=True)
class AutoscalerOptions:
    """The container that KubeRay adds to the head for Ray's autoscaler."""

    image_pull_policy: str
    resources: core_v1.ResourceRequirements
    security_context: core_v1.SecurityContext
    volume_mounts: list[core_v1.VolumeMount]
    env: list[core_v1.EnvVar]
    idle_timeout_seconds: int
    version: str = "v2"


@dataclass(frozen=True, slots=True)
class HeadGroupSpec:
    """The head's pod."""

    ray_start_params: Parameters
    template: core_v1.PodTemplateSpec


@dataclass(frozen=True, slots=True)
class WorkerGroupSpec:
    """A number of pods that are the same."""

    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int
    resources: dict[str, str]
    """What Ray schedules by, beside the cores and memory that KubeRay reads from the limits.
    KubeRay makes `ray start --resources` of it; then `rayStartParams` must name none."""
    ray_start_params: Parameters
    template: core_v1.PodTemplateSpec


@dataclass(frozen=True, slots=True)
class RayClusterSpec:
    """One Ray cluster."""

    ray_version: str
    auth_options: AuthOptions
    head_group_spec: HeadGroupSpec
    worker_group_specs: list[WorkerGroupSpec]
    enable_in_tree_autoscaling: bool | None = None
    autoscaler_options: AutoscalerOptions | None = None
    gcs_fault_tolerance_options: GcsFaultToleranceOptions | None = None


@dataclass(frozen=True, slots=True)
class UpgradeStrategy:
    """What KubeRay does when the cluster's spec changes; `None` is: nothing by itself."""

    type: str = "None"


@dataclass(frozen=True, slots=True)
class RayServiceSpec:
    """A Ray cluster and the Serve config that it is given."""

    exclude_head_pod_from_serve_svc: bool
    ray_cluster_config: RayClusterSpec
    serve_config_v2: str
    upgrade_strategy: UpgradeStrategy = field(default_factory=UpgradeStrategy)


@dataclass(frozen=True, slots=True)
class RayService:
    """The whole object."""

    metadata: meta_v1.ObjectMeta
    spec: RayServiceSpec
    api_version: str = "ray.io/v1"
    kind: str = "RayService"


__all__ = [
    "AuthOptions", "AutoscalerOptions", "Credential", "GcsFaultToleranceOptions", "HeadGroupSpec",
    "RayClusterSpec", "RayService", "RayServiceSpec", "UpgradeStrategy",
    "WorkerGroupSpec",
]  # fmt: skip
