"""The target `kubernetes` of a spec: where in a cluster, and what stands around a service there.

Each field is documented right below it, as in `models`; what the fields cannot mean together is
refused by `cluster_rules`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.bounds import Between, Form
from llmops.spec.document import Section
from llmops.units import Bytes

NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
LABEL_KEY = (
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"

ObjectName = Annotated[
    str,
    Field(pattern=OBJECT_NAME),
    Form("the name of an object: lower-case letters, digits, hyphens and dots"),
]
LabelKey = Annotated[str, Field(pattern=LABEL_KEY), Form("the key of a label, such as pool")]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE), Form("the value of a label")]


class Toleration(Section):
    """A taint of nodes that the service's pods put up with."""

    key: LabelKey
    """Key of the taint, such as `nvidia.com/gpu`."""

    operator: Literal["Exists", "Equal"] = "Exists"
    """`Exists` tolerates any value of the taint; `Equal` the one named."""

    value: LabelValue = ""
    """The taint's value, for `Equal`."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; all of them without it."""


class Rdma(Section):
    """RDMA devices (InfiniBand, RoCE) that each replica's pod is given."""

    resource: Annotated[
        str,
        Field(pattern=LABEL_KEY),
        Form("an extended resource such as rdma/hca_shared_devices_a"),
    ]
    """Extended resource that the cluster's device plugin offers."""

    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many of it one replica takes."""


class Weights(Section):
    """Where replicas keep the weights they have fetched."""

    kind: Literal["ephemeral", "pvc", "host_path"] = "ephemeral"
    """`ephemeral` fetches anew for each pod. `pvc` keeps them on a volume that all pods share
    (ReadWriteMany). `host_path` keeps them on each node, and needs a namespace whose Pod Security
    level allows it."""

    size: Annotated[Bytes, Between("1GiB", "64TiB", "200GiB")] | None = None
    """Size of the volume, or the bound of an ephemeral one. Without it, twice the model's."""

    storage_class: ObjectName | None = None
    """Storage class of the volume; the cluster's default without it."""

    path: Annotated[str, Field(pattern=r"^/.*$"), Form("an absolute path")] | None = None
    """Directory on the nodes, for `host_path`."""


class Expose(Section):
    """How clients outside of the cluster reach the endpoint."""

    kind: Literal["none", "gateway", "ingress"] = "none"
    """`none`: inside the cluster only. `gateway`: an HTTPRoute of the Gateway API. `ingress`: an
    Ingress."""

    hostname: (
        Annotated[
            str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"), Form("a host name")
        ]
        | None
    ) = None
    """Host name of the endpoint, for both. TLS ends there."""

    gateway: ObjectName | None = None
    """The Gateway that the route is attached to; `gateway_namespace` says where it is."""

    gateway_namespace: Annotated[str, Field(pattern=NAMESPACE), Form("a namespace")] | None = None
    """Namespace of the Gateway; the service's own without it."""

    class_name: ObjectName | None = None
    """Ingress class; the cluster's default without it."""

    issuer: ObjectName | None = None
    """cert-manager ClusterIssuer that makes the certificate. Without it, `tls_secret` is used."""

    tls_secret: ObjectName | None = None
    """Secret with the certificate, of an Ingress without an issuer."""


class Redis(Section):
    """An external Redis that keeps the Ray head's state, so that a lost head is only replaced."""

    address: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^rediss?://[^@\\s]+:[0-9]+$"}),
        Form("redis://host:port"),
    ]
    """`redis://host:port`, or `rediss://` with TLS."""

    password_secret: ObjectName | None = None
    """Secret whose key `password` holds the password."""


class Queue(Section):
    """Admission by Kueue: the pods of a runtime start together, or wait together."""

    local_queue: ObjectName
    """LocalQueue of the namespace that the runtime is queued in."""

    cluster_queue: ObjectName | None = None
    """When named, the LocalQueue is made too, and points to this ClusterQueue."""

    topology: LabelKey | None = None
    """Label of nodes, such as `cloud.provider.com/topology-rack`, within one value of which the
    pods of a replica must stand."""


class KubernetesTarget(Section):
    """Serve on a Kubernetes cluster, by KubeRay."""

    kind: Literal["kubernetes"]
    """The target: `local` is this machine, `agent` one that is reached through a store,
    `kubernetes` a cluster, `aws` machines of Amazon EC2, `bare_metal` hosts of one's own."""

    context: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Context of the kubeconfig; its current one without it. Name it in files that are shared:
    then nobody deploys to another cluster by accident."""

    namespace: Annotated[str, Field(pattern=NAMESPACE), Form("the name of a namespace")] = "default"
    """Namespace of everything that is made. It must exist."""

    node_selector: dict[LabelKey, LabelValue] = Field(default={})
    """Labels of the nodes that replicas may run on."""

    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = ()
    """Taints that replicas put up with. With GPUs, `nvidia.com/gpu` is always among them."""

    gpu_resource: Annotated[str, Field(pattern=LABEL_KEY), Form("an extended resource")] = (
        "nvidia.com/gpu"
    )
    """Extended resource that stands for one whole GPU. Shares of a GPU are not used: they keep
    nothing apart, neither memory nor faults."""

    runtime_class: ObjectName | None = None
    """RuntimeClass of the replicas' pods, such as `nvidia`, where the cluster needs one."""

    gateways: Annotated[int, Field(ge=1, le=32)] = 2
    """Pods that answer clients. Two, so that one may be lost or moved at any time. They count the
    requests and tokens of keys together."""

    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """When set, a PriorityClass of this value is made for the service's pods: higher ones may push
    out lower ones. It is an object of the whole cluster."""

    quota: bool = False
    """Whether a ResourceQuota bounds what the service's pods may take in all: what its highest
    number of replicas needs twice, for an update. Needs `priority`, by which the quota knows the
    pods."""

    queue: Queue | None = None
    """Admission by Kueue."""

    rdma: Rdma | None = None
    """RDMA devices. Pods with them lock memory (IPC_LOCK), which the Pod Security level
    `restricted` forbids: the namespace must be a labelled one of its own."""

    weights: Weights = Weights()
    """Where replicas keep the weights."""

    egress: Annotated[
        tuple[Annotated[str, Form("a network such as 10.0.0.0/8")], ...], Field(strict=False)
    ] = ("0.0.0.0/0",)
    """Networks that weights may be fetched from, at port 443; never those of the cluster itself or
    of a cloud's metadata. An empty list shuts it."""

    api_server_networks: Annotated[
        tuple[Annotated[str, Form("a network such as 10.0.0.0/8")], ...], Field(strict=False)
    ] = ()
    """Networks that requests of the API server's proxy come from, beside its own addresses and its
    agents'. Needed where it has no part in the pods' network, as with Calico's tunnels: there it is
    the network of the nodes' tunnel addresses. llmops verifies a release through that proxy."""

    model_secret: ObjectName | None = None
    """Secret whose key `token` may read a gated model; it is mounted as a file."""

    pull_secrets: Annotated[tuple[ObjectName, ...], Field(strict=False)] = ()
    """Secrets for pulling the image."""

    allow_tags: bool = False
    """Whether `image` may be a tag. A tag can be moved: then two pods of one release differ."""

    autoscaled_nodes: bool = False
    """Whether nodes are added when pods do not fit. Then a plan that finds no room says so and goes
    on, where it would be refused."""

    expose: Expose = Expose()
    """How clients outside of the cluster reach the endpoint."""

    monitoring: bool = False
    """Whether a PodMonitor and a PrometheusRule (Prometheus Operator) are made."""

    redis: Redis | None = None
    """External Redis for the head."""
