"""The three kinds of pods in a runtime: the head, the gateways, the replicas."""

from __future__ import annotations

import math

from lightkube.models import core_v1, meta_v1

from clusters import names
from clusters.model import Runtime
from clusters.objects import environment, labels, probes, sizes, volumes
from clusters.objects.pods import PodParts, container, template

MARGIN = 30
"""Seconds for processes to end, beyond what a drain may take."""
MOVE = 15
"""Seconds for Serve to start a gateway elsewhere, when this one has no answers under way."""
NO_RELEASE = 30
"""Seconds to drain a pod of a runtime in which no release is."""

APART = (("kubernetes.io/hostname", 100), ("topology.kubernetes.io/zone", 50))
"""Labels of nodes that gateways should differ in, and how much that weighs."""

TOPOLOGY = "kueue.x-k8s.io/podset-required-topology"
"""Kueue's annotation: within one value of this label of nodes the group's pods must stand."""


def head(runtime: Runtime, namespace: str) -> core_v1.PodTemplateSpec:
    """Ray's store, scheduler and dashboard, and Serve's controller. Only with an autoscaler beside
    it does it get a token for the API server."""
    parts = PodParts(
        role=names.HEAD,
        size=sizes.HEAD,
        # Serve's controller never leaves by itself: to wait for it would only keep a new head away.
        env=environment.of_ray(drain=0),
        places=volumes.of_head(),
        # KubeRay's Services take their ports from here, by these names. It makes no Service without
        # one called `serve`, and then never shows the RayService as ready; nobody listens there.
        ports={
            "gcs-server": names.GCS_PORT,
            "dashboard": names.DASHBOARD_PORT,
            "serve": names.HTTP_PORT,
        },
        grace=MARGIN,
        api_access=runtime.autoscaled,
    )
    only = container(runtime, parts)
    probes.of_head(only)
    return template(runtime, namespace, parts, only)


def gateway(runtime: Runtime, namespace: str) -> core_v1.PodTemplateSpec:
    """Where clients are answered.

    Serve does not see the answers that are under way, because clients do not reach the gateway
    through Serve: told to end, it would end at once. So before the pod is told, whatever for, the
    gateway has its clients connect anew and finishes its answers, as long as the drain allows.
    """
    drain = _drain(runtime)
    parts = PodParts(
        role=names.GATEWAY,
        size=sizes.GATEWAY,
        env=environment.of_ray(MOVE),
        places=volumes.of_gateway(runtime.service),
        ports={"http": names.HTTP_PORT, "ops": names.OPS_PORT},
        grace=drain + MOVE + MARGIN,
    )
    only = container(runtime, parts)
    probes.of_gateway(only)
    leave = ["python", "-m", "serving.runtime.leave", str(names.OPS_PORT), str(drain)]
    before = core_v1.LifecycleHandler(exec=core_v1.ExecAction(command=leave))
    only.lifecycle = core_v1.Lifecycle(preStop=before)
    made = template(runtime, namespace, parts, only)
    _spec(made).affinity = core_v1.Affinity(podAntiAffinity=_apart(runtime))
    return made


def replica(runtime: Runtime, namespace: str) -> core_v1.PodTemplateSpec:
    """One replica: an engine with its GPUs.

    It does not sleep before it ends, as a gateway does: its GPUs would stand idle, and the next
    release would wait for them. Told to end, Ray has Serve send no more requests here and waits for
    those under way, as long as the drain allows and no longer than they take.
    """
    shape, target, drain = runtime.shape, runtime.shape.target, _drain(runtime)
    devices = {target.gpu_resource: shape.gpus}
    if target.rdma:
        devices[target.rdma.resource] = target.rdma.count
    parts = PodParts(
        role=names.REPLICA,
        size=sizes.Size(shape.cores, shape.memory, shape.disk),
        env=environment.of_replica(shape, drain),
        places=volumes.of_replica(runtime.service, shape),
        ports={},
        grace=drain + MARGIN,
        devices=devices,
        # RDMA registers memory, which locks it. For a user that is not root the limit of locked
        # memory decides (LimitMEMLOCK of the node's container runtime); the capability is for
        # runtimes that pass it on. Nothing else is added.
        capabilities=("IPC_LOCK",) if target.rdma else (),
    )
    only = container(runtime, parts)
    probes.of_replica(only, probes.longest_start(runtime.releases))
    made = template(runtime, namespace, parts, only)
    _place(runtime, made)
    return made


def _place(runtime: Runtime, made: core_v1.PodTemplateSpec) -> None:
    """Only the nodes that were asked for. GPU nodes are commonly tainted, so that only pods with
    GPUs run there."""
    target, spec = runtime.shape.target, _spec(made)
    spec.nodeSelector = dict(target.node_selector)
    spec.runtimeClassName = target.runtime_class
    spec.tolerations = _tolerations(runtime)
    if target.queue and target.queue.topology and made.metadata:
        made.metadata.annotations = {TOPOLOGY: target.queue.topology}


def _tolerations(runtime: Runtime) -> list[core_v1.Toleration]:
    target = runtime.shape.target
    asked = [
        core_v1.Toleration(key=t.key, operator=t.operator, value=t.value or None, effect=t.effect)
        for t in target.tolerations
    ]
    if runtime.shape.gpus and all(t.key != target.gpu_resource for t in target.tolerations):
        asked.append(core_v1.Toleration(key=target.gpu_resource, operator="Exists"))
    return asked


def _apart(runtime: Runtime) -> core_v1.PodAntiAffinity:
    """Gateways on nodes, and then in zones, of their own where there are enough; together rather
    than not at all.

    Not by topology spread constraints: where nodes have no label of a zone, as on bare metal, the
    scheduler leaves out every constraint of a pod that names one.
    """
    others = meta_v1.LabelSelector(
        matchLabels=labels.selector(runtime.service, names.GATEWAY, runtime.id)
    )
    return core_v1.PodAntiAffinity(
        preferredDuringSchedulingIgnoredDuringExecution=[
            core_v1.WeightedPodAffinityTerm(
                weight=weight,
                podAffinityTerm=core_v1.PodAffinityTerm(topologyKey=key, labelSelector=others),
            )
            for key, weight in APART
        ]
    )


def _drain(runtime: Runtime) -> int:
    """The longest that a release of the runtime may take to drain, in whole seconds."""
    drains = (release.plan.drain_seconds for release in runtime.releases)
    return math.ceil(max(drains, default=NO_RELEASE))


def _spec(made: core_v1.PodTemplateSpec) -> core_v1.PodSpec:
    """The spec of a template that has one: all that are made here do."""
    if made.spec is None:
        raise TypeError("a pod template without a spec")
    return made.spec
