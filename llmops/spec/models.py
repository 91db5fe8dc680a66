"""What a user may write in `llmops.yaml`: the fields, their defaults, and why those defaults.

Every field is documented by the docstring right below it; the reference page and `llmops explain`
are made from these. Nothing here reads a file, looks at a machine or checks two sections against
each other: see `loader` and `contradictions`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from llmops.spec.adapters import Adapter, Adapters
from llmops.spec.aws import AwsTarget
from llmops.spec.bounds import Between, Form
from llmops.spec.document import Section
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.limits import Concurrent, KeyLimits, Prices, TokensPerDay, TokensPerMinute, Usd
from llmops.spec.machines import AgentTarget, BareMetalTarget, LocalTarget
from llmops.spec.names import Name
from llmops.spec.routing import Routing
from llmops.units import Bytes, Duration, Replicas
from llmops.windows import Window

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

    adapter: Adapter | None = None
    """A low-rank adapter over the weights: the service's model answers with it, in place of the
    bare weights."""

    adapters: Adapters = Field(default={})
    """Further adapters over the same weights, each by the model name that requests ask for it by:
    `{support-style: {source: "run://support-style/3"}}`. Each has the fields of `model.adapter`.
    The service's own name is answered as without them. A key of the service may ask for all of
    them, unless it is for some names only. A name is that of no other service on the machine, nor
    of another service's adapter."""


class Engine(Section):
    """What runs the model."""

    kind: Literal["vllm"] = "vllm"
    """The only engine of this version."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations. `auto` keeps the model's own."""

    kv_cache: Memory | Literal["auto"] = "auto"
    """Memory for the KV cache of one replica, such as `2GiB`. `auto` gives room for four requests
    of full context where the machine has it, and at most 4 GiB."""

    adapter_rank: Annotated[int, Field(ge=0, le=512)] = 0
    """Keep room for adapters of at most this rank. A release that differs from the live one in
    nothing but its adapters is then loaded into the running engine, instead of a second one beside
    it. With 0 there is room only where the release itself has adapters, for the largest rank."""

    adapter_count: Annotated[int, Field(ge=0, le=64)] = 0
    """Keep room for so many adapters of one release, `model.adapter` and those of `model.adapters`
    together. 0 is as many as the release itself has, and 1 at least: set it where names are to be
    added later, or the next one gets an engine of its own."""

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
    """Pipeline parallel size: layers are dealt to this many stages, each on a machine of its own
    with its tensor parallel ranks inside. For the targets `agent`, `bare_metal` and `aws`; the
    others run a replica on one machine, and take 1."""

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


_TARGETS = {
    "kubernetes": "KubernetesTarget",
    "aws": "AwsTarget",
    "agent": "AgentTarget",
    "bare_metal": "BareMetalTarget",
}
"""By `kind`: which section a target is, where it is not this machine."""


def _section_of_target(value: Any) -> str:
    """Which target a section is: this machine where it does not say."""
    kind = value.get("kind", "local") if isinstance(value, dict) else getattr(value, "kind", "")
    return _TARGETS.get(kind, "LocalTarget") if isinstance(kind, str) else "LocalTarget"


Target = Annotated[
    Annotated[LocalTarget, Tag("LocalTarget")]
    | Annotated[KubernetesTarget, Tag("KubernetesTarget")]
    | Annotated[AwsTarget, Tag("AwsTarget")]
    | Annotated[AgentTarget, Tag("AgentTarget")]
    | Annotated[BareMetalTarget, Tag("BareMetalTarget")],
    Discriminator(_section_of_target),
]
"""Where a service runs: the section's `kind` says which of these it is."""


class Objective(Section):
    """What requests may expect."""

    ttft: Annotated[Duration, Between("1ms", "1h", "500ms")] | None = None
    """Time to first token. Left out: none is promised."""

    tpot: Annotated[Duration, Between("1ms", "1min", "50ms")] | None = None
    """Time per output token after the first. Left out: none is promised."""

    percent: Annotated[float, Field(ge=50, le=100, strict=False)] = 99.0
    """Percent of the requests of a minute that should meet it."""

    queue: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Requests that may wait inside one replica, which has more than it computes at once. Left out:
    any number."""


class Scheduled(Section):
    """Bounds at certain times."""

    window: Annotated[Window, Form("days and times such as Mon-Fri 08:00-18:00 Europe/Berlin")]
    """When: days, times and a time zone."""

    replicas: Replicas
    """Fewest and most replicas then; within `scaling.replicas`, whose highest number the memory is
    planned for. The lowest may be above or below."""


class Hold(Section):
    """Requests that wait while no replica runs."""

    requests: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many may wait at each gateway; more are answered 503 with `Retry-After`."""

    wait: Wait = Duration.parse("5min")
    """How long one may wait; then it is answered 503 with `Retry-After`."""


class Scaling(Section):
    """How many replicas."""

    replicas: Replicas = Replicas(1, 1)
    """A number, or a range such as `1..4`: then replicas are added and removed with the load, as
    the fields below say. From `0` on, as in `0..4`, none is left while nobody asks: the next
    request waits for one to start."""

    target_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Requests in flight per replica that scaling aims at."""

    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Requests that a replica is given at once; further ones wait at the gateway, the keys by
    turns. Without it, as many as the engine works on at once."""

    target_tokens_per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Generated tokens a second per replica that scaling aims at as well; none is left out."""

    objective: Objective = Objective()
    """What requests may expect; where they miss it under load, a replica is added."""

    warm: Annotated[int, Field(ge=0, le=100)] = 0
    """Replicas above what the load needs, so that a sudden rise finds one that runs."""

    schedule: Annotated[tuple[Scheduled, ...], Field(strict=False)] = ()
    """Other bounds at certain times of the week. What a window asks for is started ahead of it."""

    idle: Wait = Duration.parse("5min")
    """Time without a request after which the last replica goes, where `replicas` begins at 0."""

    settle: Wait = Duration.parse("1min")
    """A replica goes only when no moment of this time needed it."""

    hold: Hold = Hold()
    """Requests that wait while no replica runs, where `replicas` begins at 0."""


class Security(Section):
    """Who may ask, and how much. Authentication cannot be switched off."""

    keys: Annotated[tuple[Name, ...], Field(strict=False)] = ("default",)
    """Names of API keys that a deploy makes when they are missing; each is shown once. The name
    `operator` is taken: this machine's own commands ask with it."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """Requests that one key may start in a minute; more are answered 429 with `Retry-After`. All
    gateways of a runtime count together."""

    tokens_per_minute: TokensPerMinute | None = None
    """Tokens, read and generated, that one key may use in a minute. What a request can take at most
    is set aside while it runs, and the engine's own count stands in the end."""

    concurrent_requests: Concurrent | None = None
    """Requests that one key may have in flight at once, those that wait for their turn included."""

    tokens_per_day: TokensPerDay | None = None
    """Tokens that one key may use in a day of UTC."""

    usd_per_month: Usd | None = None
    """US dollars that one key may spend in a month of UTC, by `prices`."""

    prices: Prices | None = None
    """What tokens cost: needed where money is limited."""

    per_key: dict[Name, KeyLimits] = Field(default={})
    """Other limits for some keys, by their names: each takes `requests_per_minute`,
    `tokens_per_minute`, `concurrent_requests`, `max_tokens`, `tokens_per_day` and `usd_per_month`.
    What is left out there is as for all keys. It also takes a `priority`: `high`, `normal` or
    `low`. The keys may be made later, by `llmops keys`."""

    max_body: Annotated[Bytes, Between("1KiB", "256MiB", "4MiB")] = Bytes.parse("1MiB")
    """Largest request body; more is answered 413. The gateway holds a body in memory."""

    max_tokens: Annotated[int, Field(ge=1, le=1_048_576)] = 4096
    """Largest `max_tokens` (`max_completion_tokens`) a request may ask for, and the bound for one
    that names none."""

    max_choices: Annotated[int, Field(ge=1, le=128)] = 4
    """Largest `n` (answers to one prompt) a request may ask for."""


class Canary(Section):
    """How a new release is tried, where `maintenance.strategy` is `canary`. Changing this alone
    makes no new release."""

    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=90)], ...], Field(strict=False)] = (10,)
    """Percent of new requests that it gets while it is watched, one after the other, such as
    `[10, 50]`; 1 to 10 of them, each above the one before. The last good one has the rest. After
    the last step the new one gets all."""

    watch: Annotated[Duration, Between("10s", "1d", "10min")] = Duration.parse("5min")
    """How long each step is watched. What is worse is taken back as soon as that is no chance."""

    more_failures: Annotated[int, Field(ge=0, le=100)] = 2
    """Percent of its requests that may fail beyond those of the last good one, and of its answers
    that may be empty beyond those. What may be chance does not count against it."""

    more_truncated: Annotated[int, Field(ge=0, le=100)] = 10
    """Percent of its answers that may end because they are as long as they may be (`finish_reason:
    length`) beyond those of the last good one."""

    slower: Annotated[int, Field(ge=0, le=1000)] = 50
    """Percent by which its time to first token, and its time per output token, may be above that of
    the last good one, for nine of ten streamed requests."""

    least_requests: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Requests that each of the two must have had in a step to have been compared. With fewer the
    next step follows all the same, unless the new one was worse beyond chance, and the deploy says
    so."""


class Maintenance(Section):
    """How releases follow one another, and when."""

    strategy: Literal["rolling", "canary", "recreate"] = "rolling"
    """`rolling` stages the new release beside the old one and shifts only when it has answered.
    `canary` does the same, then gives the new one some of the requests, watches it, and only then
    gives it all, or takes it back. `recreate` removes the old one first, for machines that cannot
    hold both: the service is away in between, and a failed release leaves nothing serving until the
    old one has been restarted."""

    canary: Canary = Canary()
    """How a new release is tried, where `maintenance.strategy` is `canary`."""

    window: Window | None = None
    """When the service may be changed, such as `Sun 02:00-04:00 Europe/Berlin`: days (`Mon-Fri`,
    `Sat,Sun`, `daily`), times, which may go past midnight, and a time zone, UTC without one. A
    change at another time is refused; `--wait` waits for it, `--emergency REASON` does it all the
    same. An unchanged deploy is always allowed. Changing this alone makes no new release."""

    keep_releases: Annotated[int, Field(ge=1, le=1000)] | Literal["all"] = "all"
    """How many releases that have ended stay in the history, the newest ones. What serves, and what
    a rollback would repeat, always stay. Changing this alone makes no new release."""

    keep_logs: Annotated[int, Field(ge=0, le=1000)] | Literal["all"] = "all"
    """Of how many releases that have ended the engine's log stays on this machine, of the newest
    ones. A log never outlives its release's record. Changing this alone makes no new release."""

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

    routing: Routing = Routing()
    """Which release, and which replica of it, a request goes to."""

    security: Security = Security()
    """Who may ask, and how much."""

    maintenance: Maintenance = Maintenance()
    """How releases follow one another."""
