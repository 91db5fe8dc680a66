"""What of a service should be in the cluster: values that the objects are made from.

Everything here is pure. A *runtime* is one RayService (one Ray cluster with its gateways); releases
whose pods are the same share one, and a change of pods makes another beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops.releases import Release
from llmops.spec import KubernetesTarget

Manifest = dict[str, Any]
"""An object of the Kubernetes API as its JSON says it, always with apiVersion, kind and
metadata.name; namespaced ones with metadata.namespace."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the pods of a runtime look like: two releases with one shape share a runtime.

    Sizes in bytes.
    """

    image: str
    device: str
    """`cpu` or `gpu`."""
    gpus: int
    """GPUs of one replica's pod: the tensor parallel size; 0 on a CPU."""
    cores: int
    """CPU cores of one replica's pod, requested and bounded."""
    memory: int
    """Memory of one replica's pod, requested and bounded."""
    disk: int
    """Ephemeral storage of one replica's pod."""
    target: KubernetesTarget
    apart: str = ""
    """Mark of pods that are kept apart from others that look the same."""
    autoscaled: bool = False
    """Whether there is an autoscaler beside the head: KubeRay adds none to a head that runs."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime as it should be."""

    id: str
    """Digest of the shape, eight hex digits."""
    service: str
    shape: Shape
    releases: tuple[Release, ...]
    """Every release that should run in it, by number."""
    shares: Mapping[int, int]
    """Percent of new requests by release number, as the gateways' table says."""
    generation: int
    """Number of the routing table."""
    closing: bool = False
    """Whether clients are told to connect anew, because another runtime has taken over."""

    @property
    def pods(self) -> int:
        """Replica pods that its releases need at their lowest number of replicas."""
        return sum(release.plan.layout.replicas_low for release in self.releases)

    @property
    def autoscaled(self) -> bool:
        """Whether Ray's autoscaler adds and removes pods by itself."""
        return any(r.plan.layout.replicas_low != r.plan.layout.replicas_high for r in self.releases)

    @property
    def most_pods(self) -> int:
        """Replica pods at the highest number of replicas."""
        return sum(release.plan.layout.replicas_high for release in self.releases)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Everything of a service that should be in the cluster."""

    service: str
    namespace: str
    runtimes: tuple[Runtime, ...]
    active: str
    """Id of the runtime that the Service points to; empty while none has been verified."""
    api_server: tuple[str, ...] = field(default=())
    """Addresses of the API server (from the endpoints of the Service `kubernetes`), which proxies
    llmops' own requests."""
    claimed: int = 0
    """Bytes that the service's volume of weights has been promised: the API lets none shrink."""
