"""One RayService per runtime: a Ray cluster with its gateways, and the Serve config it is given.

KubeRay is told to replace nothing by itself (`upgradeStrategy: None`): llmops makes another runtime
beside this one, verifies it and shifts the traffic. So what KubeRay would change on its own, and
when, is never a question. Of a change it carries only `serveConfigV2` to a cluster that runs; how
many replicas there are has to be set on the RayCluster, as Ray's autoscaler does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from lightkube.models import core_v1

from clusters import names
from clusters.model import Manifest, Runtime
from clusters.objects import environment, kuberay, labels, roles, sizes, volumes
from clusters.objects.documents import document
from clusters.objects.pods import METRICS_PORT, container_security, pull_policy
from clusters.objects.probes import AGENT_PORT
from llmops import __version__
from serving.serve_config import GATEWAY_RESOURCE, REPLICA_RESOURCE

RAY_VERSION = "2.60.0"
"""The Ray that images have; KubeRay chooses by it what it can ask of the cluster."""

COMPONENT = "runtime"
QUEUE = "kueue.x-k8s.io/queue-name"
"""Kueue's label: the LocalQueue that the whole RayService waits in."""
WRITER = "llmops/version"
"""Annotation: the llmops that wrote the object."""

IDLE_SECONDS = 60
"""Seconds that a replica's pod stays without a replica. Serve has waited before it gave it up."""

PARAMETERS = {
    "object-store-memory": str(sizes.OBJECT_STORE),
    "dashboard-agent-listen-port": str(AGENT_PORT),
    "metrics-export-port": str(METRICS_PORT),
}
"""`ray start` in every pod."""


def rayservice(runtime: Runtime, namespace: str, serve_config: Mapping[str, Any]) -> Manifest:
    """The runtime's RayService.

    Args:
        runtime: What should be in it.
        namespace: Where it is.
        serve_config: Serve's config of its releases, as `serving.serve_config.render` makes it.
    """
    return document(
        kuberay.RayService(
            metadata=labels.metadata(
                names.rayservice(runtime.service, runtime.id),
                namespace,
                runtime.service,
                COMPONENT,
                runtime.id,
                annotations={names.RELEASES: shares(runtime), WRITER: __version__},
                extra=_queue(runtime),
            ),
            spec=kuberay.RayServiceSpec(
                exclude_head_pod_from_serve_svc=True,
                ray_cluster_config=_cluster(runtime, namespace),
                serve_config_v2=yaml.safe_dump(dict(serve_config), sort_keys=False, width=100),
            ),
        )
    )


def shares(runtime: Runtime) -> str:
    """The runtime's releases with their percent of new requests, such as `r3=100 r4=0`."""
    numbers = (release.number for release in runtime.releases)
    return " ".join(f"r{number}={runtime.shares.get(number, 0)}" for number in numbers)


def _queue(runtime: Runtime) -> dict[str, str]:
    queue = runtime.shape.target.queue
    return {QUEUE: queue.local_queue} if queue else {}


def _cluster(runtime: Runtime, namespace: str) -> kuberay.RayClusterSpec:
    scales = runtime.autoscaled
    return kuberay.RayClusterSpec(
        ray_version=RAY_VERSION,
        auth_options=kuberay.AuthOptions(names.token_secret(runtime.service)),
        enable_in_tree_autoscaling=True if scales else None,
        autoscaler_options=_autoscaler(runtime) if scales else None,
        gcs_fault_tolerance_options=_redis(runtime),
        head_group_spec=kuberay.HeadGroupSpec(
            # No cores for tasks and actors: what would run on the head would take it down.
            ray_start_params={"num-cpus": "0", **PARAMETERS},
            template=roles.head(runtime, namespace),
        ),
        worker_group_specs=[_gateways(runtime, namespace), _replicas(runtime, namespace)],
    )


def _gateways(runtime: Runtime, namespace: str) -> kuberay.WorkerGroupSpec:
    count = runtime.shape.target.gateways
    return kuberay.WorkerGroupSpec(
        group_name=names.GATEWAY,
        replicas=count,
        min_replicas=count,
        max_replicas=count,
        resources={GATEWAY_RESOURCE: "1"},
        ray_start_params=dict(PARAMETERS),
        template=roles.gateway(runtime, namespace),
    )


def _replicas(runtime: Runtime, namespace: str) -> kuberay.WorkerGroupSpec:
    """A pod for each replica. Its GPUs are told to Ray by name, since KubeRay knows only resources
    that are called so."""
    gpus = runtime.shape.gpus
    return kuberay.WorkerGroupSpec(
        group_name=names.REPLICA,
        replicas=runtime.pods,
        min_replicas=runtime.pods,
        max_replicas=runtime.most_pods,
        resources={REPLICA_RESOURCE: "1", **({"GPU": str(gpus)} if gpus else {})},
        ray_start_params=dict(PARAMETERS),
        template=roles.replica(runtime, namespace),
    )


def _autoscaler(runtime: Runtime) -> kuberay.AutoscalerOptions:
    """Of the container that KubeRay adds: it brings no security context, and would not be admitted.
    Version 2 is Ray's own default; said here, KubeRay also lets no pod restart in place, so that
    the autoscaler and KubeRay agree on which pods there are."""
    places = [place for place in volumes.of_head() if place.path != "/dev/shm"]  # noqa: S108
    return kuberay.AutoscalerOptions(
        image_pull_policy=pull_policy(runtime.shape.image),
        resources=sizes.resources(sizes.AUTOSCALER),
        security_context=container_security(),
        volume_mounts=[place.mount for place in places],
        env=environment.of_ray(drain=0),
        idle_timeout_seconds=IDLE_SECONDS,
    )


def _redis(runtime: Runtime) -> kuberay.GcsFaultToleranceOptions | None:
    redis = runtime.shape.target.redis
    if redis is None:
        return None
    key = core_v1.SecretKeySelector(name=redis.password_secret, key="password")
    source = core_v1.EnvVarSource(secretKeyRef=key)
    password = kuberay.Credential(source) if redis.password_secret else None
    return kuberay.GcsFaultToleranceOptions(redis.address, password)
