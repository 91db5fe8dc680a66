"""What no deployment on a cluster can mean: the rules of the target `kubernetes`. Pure.

What only the cluster can tell (a namespace that is not there, a class that nobody made) is found
out when it is asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from llmops.spec import images
from llmops.spec.document import Finding
from llmops.spec.exposure import find_in_expose
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.models import Deployment
from llmops.spec.nodes import Trail
from llmops.spec.words import quoted

LONGEST_NAME = 38
"""Characters of a service's name: KubeRay takes 47, and the id of a runtime adds 9."""

VOLUME = "/var/lib/llmops/weights"
"""Where pods see the volume of `target.weights`. A model there is looked up at the same path of
this machine, so it must be mounted here too."""

TARGET: Trail = ("target",)
KIND: Trail = ("target", "kind")

_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
_NODES_OWN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys",
              "/usr", "/var/lib/kubelet", "/var/run")  # fmt: skip
"""Directories of a node that no pod is given."""


def find_in_cluster(deployment: Deployment, target: KubernetesTarget) -> Iterator[Finding]:
    """Everything that is wrong with a deployment because it runs on a cluster."""
    yield from _name(deployment)
    yield from _image(deployment, target)
    yield from _source(deployment, target)
    yield from _namespace(target)
    yield from _nodes(target)
    yield from _weights(target)
    yield from _networks(target)
    yield from find_in_expose(target.expose)
    yield from _redis(target)
    yield from _queue(deployment, target)


def _name(deployment: Deployment) -> Iterator[Finding]:
    if len(deployment.name) > LONGEST_NAME:
        yield Finding(
            ("name",),
            f"expected at most {LONGEST_NAME} characters for the target kubernetes, found"
            f" {len(deployment.name)}",
            "shorten it: KubeRay takes 47, and the id of a runtime adds 9", (KIND,),
        )  # fmt: skip


def _image(deployment: Deployment, target: KubernetesTarget) -> Iterator[Finding]:
    if deployment.image is None:
        hint = (
            "llmops image build makes one, and prints what to write: image: registry/name@sha256:…"
        )
        message = "expected an image for the target kubernetes, found nothing"
        yield Finding(("image",), message, hint, (KIND,))
    elif wrong := images.check(deployment.image, tags=target.allow_tags):
        yield Finding(("image",), wrong.message, wrong.hint, (("target", "allow_tags"),))


def _source(deployment: Deployment, target: KubernetesTarget) -> Iterator[Finding]:
    source = deployment.model.source
    on_volume = target.weights.kind != "ephemeral" and source.startswith(f"file://{VOLUME}/")
    if source.startswith("file://") and not on_volume:
        yield Finding(
            ("model", "source"),
            "expected a source that pods can reach, found a path of this machine's",
            "put the model in a bucket (s3://, gs://) or on the hub (hf://), into the image"
            f" (pkg://), or on the volume of target.weights, which pods see at {VOLUME}",
            (("target", "weights"), KIND),
        )  # fmt: skip


def _namespace(target: KubernetesTarget) -> Iterator[Finding]:
    trail = (*TARGET, "namespace")
    if target.namespace in _SYSTEM:
        message = f"expected a namespace for services, found '{target.namespace}'"
        yield Finding(trail, message, "the cluster's own parts live there: name another")
    elif target.rdma and target.namespace == "default":
        yield Finding(
            trail, "expected a namespace of its own for RDMA, found 'default'",
            "pods with RDMA lock memory, which Pod Security 'restricted' forbids: make a namespace"
            " with the label pod-security.kubernetes.io/enforce=privileged for them",
            ((*TARGET, "rdma"),),
        )  # fmt: skip
    if target.quota and target.priority is None:
        message = "expected target.priority beside a quota, found none"
        hint = "add target.priority, such as 1000: by it the quota knows the service's pods"
        yield Finding((*TARGET, "quota"), message, hint, ((*TARGET, "priority"),))


def _nodes(target: KubernetesTarget) -> Iterator[Finding]:
    for index, toleration in enumerate(target.tolerations):
        if toleration.value and toleration.operator == "Exists":
            yield Finding(
                (*TARGET, "tolerations", index, "value"),
                f"expected no value with operator 'Exists', found {quoted(toleration.value)}",
                "write operator: Equal, or remove the value", key=True,
            )  # fmt: skip
    yield from _resource((*TARGET, "gpu_resource"), target.gpu_resource)
    if target.rdma:
        yield from _resource((*TARGET, "rdma", "resource"), target.rdma.resource)


def _resource(trail: Trail, name: str) -> Iterator[Finding]:
    if "/" not in name:
        message = f"expected an extended resource such as nvidia.com/gpu, found {quoted(name)}"
        yield Finding(trail, message, "its name has the vendor's domain before a slash")
    elif name.endswith(".shared"):
        message = f"expected a whole GPU, found {quoted(name)}"
        hint = "shares of a GPU keep nothing apart, neither memory nor faults"
        yield Finding(trail, message, hint)


def _weights(target: KubernetesTarget) -> Iterator[Finding]:
    weights, above = target.weights, (*TARGET, "weights")
    kind: Trail = (*above, "kind")
    if weights.kind == "host_path" and weights.path is None:
        message = "expected a directory of the nodes for host_path, found nothing"
        yield Finding((*above, "path"), message, "add 'path: /var/cache/llmops'", (kind,), key=True)
    if weights.path is not None:
        yield from _path((*above, "path"), kind, weights.kind, weights.path)
    if weights.storage_class is not None and weights.kind != "pvc":
        message = f"expected no storage class with {weights.kind}, found '{weights.storage_class}'"
        hint = "write kind: pvc, or remove it"
        yield Finding((*above, "storage_class"), message, hint, (kind,), key=True)
    if weights.size is not None and weights.kind == "host_path":
        message = f"expected no size with host_path, found {weights.size}"
        yield Finding(
            (*above, "size"), message, "nothing bounds a directory of a node: remove it", (kind,),
            key=True,
        )  # fmt: skip


def _path(trail: Trail, kind_at: Trail, kind: str, path: str) -> Iterator[Finding]:
    clean = path.rstrip("/")
    if kind != "host_path":
        hint = "write kind: host_path, or remove it"
        message = f"expected no path with {kind}, found {quoted(path)}"
        yield Finding(trail, message, hint, (kind_at,), key=True)
    elif {".", ".."} & set(path.split("/")) or "//" in path:
        message = f"expected a path without '.', '..' and '//', found {quoted(path)}"
        yield Finding(trail, message, "write the path that is meant")
    elif not clean or any(clean == own or clean.startswith(f"{own}/") for own in _NODES_OWN):
        message = f"expected a directory for weights, found {quoted(path)}"
        yield Finding(trail, message, "that is the node's own; such as /var/cache/llmops")


def _networks(target: KubernetesTarget) -> Iterator[Finding]:
    fields = {"egress": target.egress, "api_server_networks": target.api_server_networks}
    for field, index, text in ((f, i, t) for f, all_ in fields.items() for i, t in enumerate(all_)):
        trail = (*TARGET, field, index)
        message = f"expected a network such as 10.0.0.0/8, found {quoted(text)}"
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            hint = "an address and the length of its prefix; names are not looked up"
            yield Finding(trail, message, hint)
            continue
        if text != str(network):
            yield Finding(trail, message, f"did you mean {network}?")


def _redis(target: KubernetesTarget) -> Iterator[Finding]:
    if target.redis is None:
        return
    address = target.redis.address
    trail: Trail = (*TARGET, "redis", "address")
    if "@" in address:
        yield Finding(
            trail, "expected an address without credentials, found one that carries some",
            "put the password in a Secret, and name that: target.redis.password_secret",
        )  # fmt: skip
        return
    found = re.fullmatch(r"rediss?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", address)
    if found is None or int(found[2]) not in range(1, 65536):
        message = f"expected redis://host:port or rediss://host:port, found {quoted(address)}"
        yield Finding(trail, message, "such as redis://redis.models.svc:6379")


def _queue(deployment: Deployment, target: KubernetesTarget) -> Iterator[Finding]:
    replicas = deployment.scaling.replicas
    if target.queue and replicas.low != replicas.high:
        yield Finding(
            ("scaling", "replicas"),
            f"expected a number with target.queue, found '{replicas}'",
            "Kueue admits a Ray cluster as it is and lets none grow: write a number, such as"
            f" {replicas.low}", ((*TARGET, "queue"),),
        )  # fmt: skip
