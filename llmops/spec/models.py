"""What a user may write in `llmops.yaml`: the fields, their defaults, and why those defaults.

Every field is documented by the docstring right below it; the reference page and `llmops explain`
are made from these. Nothing here reads a file, looks at a machine or checks two sections against
each other: see `loader` and `contradictions`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from llmops.spec.bounds import Between, Form
from llmops.spec.document import Section
from llmops.spec.kubernetes import KubernetesTarget
from llmops.units import Bytes, Duration, Replicas

DNS_LABEL = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"

Name = Annotated[
    str,
    Field(pattern=DNS_LABEL),
    Form(
        "a name of at most 40 lower-case letters, digits and hyphens that begins with a letter"
        " and does not end with a hyphen"
    ),
]

Memory = Annotated[Bytes, Between("1MiB", "64TiB", "2GiB")]
Wait = Annotated[Duration, Between("1s", "1d", "5min")]


class Model(Section):
    """Which model, exactly."""

    source: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^(hf://[^/]+/[^/]+$|file:///|(pkg|s3|gs)://[^/]+/.)"}),
        Form("an address such as hf://owner/name"),
    ]
    """Where the weights come from: `hf://owner/name`, `file:///path`, `s3://bucket/prefix`,
    `gs://bucket/prefix`, or `pkg://module/file` (a file inside an installed Python package).
    Only safetensors are loaded; a GGUF file is converted once."""

    revision: Annotated[str, Form("a commit hash, a branch or a tag")] | None = None
    """For `hf://`: a full commit hash (40 hex digits), so that each deploy serves the same weights.
    A branch or tag is resolved once, and the plan pins the commit it stood for. Without it the
    branch `main` is. Refused for other sources: the digests of their files pin them."""

    context: Annotated[int, Field(ge=16, le=16_777_216)] | Literal["auto"] = "auto"
    """Longest request in tokens, prompt and answer together. `auto` takes what the model was
    trained for, or less when the KV cache does not hold one such request."""


class Engine(Section):
    """What runs the model."""

    kind: Literal["vllm"] = "vllm"
    """The only engine of this version."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations. `auto` keeps the model's own."""

    kv_cache: Memory | Literal["auto"] = "auto"
    """Memory for the KV cache of one replica, such as `2GiB`. `auto` gives room for four requests
    of full context where the machine has it, and at most 4 GiB."""

    args: Annotated[
        dict[str, Any],
        Field(json_schema_extra={"propertyNames": {"pattern": "^[a-z0-9]+([_-][a-z0-9]+)*$"}}),
        Form("a mapping of arguments' names to their values"),
    ] = Field(default_factory=dict)
    """The engine's own arguments, by their own names (`enable_prefix_caching: false`), checked
    against the installed engine. Refused here is what llmops sets itself (model, ports, parallel
    sizes, dtype), what would run code or read weights that nobody checked (`trust_remote_code`),
    and what would open the engine past the gateway."""


class Parallelism(Section):
    """How one replica is split over devices."""

    tensor: Annotated[int, Field(ge=1, le=1024)] = 1
    """Tensor parallel size: each layer is cut over this many devices. Must divide the model's
    attention heads."""

    pipeline: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pipeline parallel size: layers are dealt to this many stages. This version takes 1."""

    data: Annotated[int, Field(ge=1, le=1024)] = 1
    """Data parallel size: ranks that have everything but the experts for themselves and share
    these, for a mixture of experts; a dense model has replicas instead. This version takes 1."""


class Hardware(Section):
    """What one replica may use of the machine, or of a node."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    """`auto` takes the GPUs that are there, else the CPU."""

    gpu: Annotated[str, Field(min_length=1, max_length=60), Form("the name of a GPU")] | None = None
    """GPU of the catalogue that it is to run on, such as `H100-SXM`, or a family such as `H100`.
    `llmops plan --on catalog` keeps to it; the local target refuses GPUs of another family, and of
    a cluster only nodes with such a GPU count. `llmops catalog list` names them all."""

    count: Annotated[int, Field(ge=1, le=4096)] | None = None
    """GPUs that one replica takes, all of one machine or node: it is the tensor parallel size.
    Without it the planner takes as few as hold the model."""

    cores: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """CPU cores that compute in one replica. `auto` shares what the machine has between the
    replicas and leaves one for everything else; on a cluster, what the nodes have, with room for
    the replicas of the next release beside them."""

    memory: Memory | Literal["auto"] = "auto"
    """Memory that one replica may take in all, such as `6GiB`. `auto` is what is free on the
    machine; on a cluster it is bounded by what a node has."""


class LocalTarget(Section):
    """Serve on this machine."""

    kind: Literal["local"] = "local"
    """The target: `local` is this machine, `kubernetes` a cluster."""

    host: Annotated[str, Form("an IP address, or 'localhost'")] = "127.0.0.1"
    """Address the endpoint listens on: an IP address, or `localhost`. Loopback by default: the
    endpoint speaks plain HTTP, so put a TLS proxy in front before you open it to a network."""

    allow_plaintext: bool = False
    """Whether the endpoint may listen where others can reach it. It speaks plain HTTP, so keys and
    texts could be read on the way: set this only where a TLS proxy, or a network that you trust, is
    in between. `host` outside of loopback is refused without it."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port of the endpoint. All services of one machine share one endpoint, and so this port."""


def _kind(value: Any) -> str:
    """Which target a section is: `local` where it does not say."""
    kind = value.get("kind", "local") if isinstance(value, dict) else getattr(value, "kind", "")
    return kind if kind == "kubernetes" else "local"


Target = Annotated[
    Annotated[LocalTarget, Tag("LocalTarget")]
    | Annotated[KubernetesTarget, Tag("KubernetesTarget")],
    Discriminator(
        lambda value: "KubernetesTarget" if _kind(value) == "kubernetes" else "LocalTarget"
    ),
]
"""Where a service runs: the section's `kind` says which of these it is."""


class Scaling(Section):
    """How many replicas."""

    replicas: Replicas = Replicas(1, 1)
    """A number, or a range such as `1..4`: then Ray Serve adds and removes replicas with the
    number of requests in flight."""

    target_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Requests in flight per replica that scaling aims at."""


class Security(Section):
    """Who may ask, and how much. Authentication cannot be switched off."""

    keys: Annotated[tuple[Name, ...], Field(strict=False)] = ("default",)
    """Names of API keys that a deploy makes when they are missing; each is shown once. The name
    `operator` is taken: this machine's own commands ask with it."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """Requests that one key may start in a minute; more are answered 429 with `Retry-After`. On a
    cluster each gateway counts for itself."""

    max_body: Annotated[Bytes, Between("1KiB", "256MiB", "4MiB")] = Bytes.parse("1MiB")
    """Largest request body; more is answered 413. The gateway holds a body in memory."""

    max_tokens: Annotated[int, Field(ge=1, le=1_048_576)] = 4096
    """Largest `max_tokens` (`max_completion_tokens`) a request may ask for, and the bound for one
    that names none."""

    max_choices: Annotated[int, Field(ge=1, le=128)] = 4
    """Largest `n` (answers to one prompt) a request may ask for."""


class Maintenance(Section):
    """How releases follow one another."""

    strategy: Literal["rolling", "recreate"] = "rolling"
    """`rolling` stages the new release beside the old one and shifts only when it has answered.
    `recreate` removes the old one first, for machines that cannot hold both: the service is away
    in between, and a failed release leaves nothing serving until the old one has been restarted."""

    drain: Wait = Duration.parse("5min")
    """How long a replaced release may finish the requests it has begun."""

    start_deadline: Wait = Duration.parse("15min")
    """How long a new release may take from staging to its first verified answer."""


class Deployment(Section):
    """One service: what `llmops.yaml` says."""

    apiVersion: Literal["llmops/v1"] = "llmops/v1"  # noqa: N815 - the file's own spelling
    """Version of this format."""

    kind: Literal["Service"] = "Service"
    """What the file describes. `Service` serves a model."""

    name: Name
    """Name of the service: a DNS label of at most 40 characters (lower-case letters, digits and
    hyphens). It is also the `model` that requests name."""

    model: Model
    """Which model, exactly."""

    engine: Engine = Engine()
    """What runs the model."""

    parallelism: Parallelism | Literal["auto"] = "auto"
    """How one replica is split over devices. `auto` uses one device where the model fits."""

    hardware: Hardware | Literal["auto"] = "auto"
    """What one replica may use of the machine."""

    image: (
        Annotated[str, Field(min_length=1, max_length=512), Form("registry/name@sha256:digest")]
        | None
    ) = None
    """Container image of the pods, where a target runs containers: by digest
    (`registry/name@sha256:…`), so that it stays what was tried. `llmops image build` makes one and
    prints it."""

    target: Target = LocalTarget()
    """Where it runs."""

    scaling: Scaling = Scaling()
    """How many replicas."""

    security: Security = Security()
    """Who may ask, and how much."""

    maintenance: Maintenance = Maintenance()
    """How releases follow one another."""
