"""What a platform team may write in a policy file: the fields, and what leaving one out means.

A policy bounds what services may ask for; it asks for nothing itself. A field that is left out
bounds nothing, so that layers add up: of several policies the strictest wins, field by field.
Every field is documented by the docstring right below it, as in a spec. Nothing here reads a file,
compares layers or looks at a deployment: see `document`, `layers` and `review`.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from llmops.spec import Between, Form, Name, Section, Wait
from llmops.units import Duration, Replicas
from llmops.windows import Window

Pattern = Annotated[
    str, Field(min_length=1, max_length=512), Form("a name, in which * stands for anything")
]


def _day(written: object) -> date:
    """A day as it was written; a file's reader gives text alone.

    Raises:
        ValueError: When it is none.
    """
    if isinstance(written, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", written, re.ASCII):
        return date.fromisoformat(written)
    if type(written) is date:
        return written
    raise ValueError("no day")


Day = Annotated[
    date,
    BeforeValidator(_day),
    Form("a day such as '2026-12-24'", "write year, month and day in quotes: '2026-12-24'"),
]
WrittenWindow = Annotated[Window, Form("a window such as 'Sun 02:00-04:00 Europe/Berlin'")]
Text = Annotated[str, Field(min_length=1, max_length=500), Form("a sentence")]
RuleId = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9-]*(\.[a-z][a-z0-9_-]*)*$", max_length=80),
    Form("lower-case words joined by hyphens, such as no-eager"),
]
Tuple = Field(strict=False)


class Layer(StrEnum):
    """Whose policy it is; all that apply to a service hold together."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    SERVICE = "service"


class AppliesTo(Section):
    """Which deployments a policy is about. A deployment must match every list that is given."""

    services: Annotated[tuple[Pattern, ...], Tuple] = ("*",)
    """Names of services, in which `*` stands for anything."""

    targets: Annotated[tuple[Literal["local", "kubernetes", "aws", "bare_metal"], ...], Tuple] = ()
    """Kinds of target; none given is all of them."""

    namespaces: Annotated[tuple[Pattern, ...], Tuple] = ()
    """Namespaces of a cluster; none given is all of them."""


class Images(Section):
    """Container images."""

    allowed: Annotated[tuple[Pattern, ...], Tuple] = ()
    """Registries and repositories that images may come from, such as `registry.example/llm/*`; none
    given is any."""

    digest: bool | None = None
    """Whether an image must be named by its digest. Never refuses what a target refuses anyway."""


class KeyLimits(Section):
    """The most that one API key may be allowed. Enforced at the gateway, exactly."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that one key may start in a minute."""

    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Tokens, read and generated, that one key may use in a minute."""

    concurrent_requests: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Requests of one key that may be in flight at once."""

    max_tokens: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    """Tokens that one request may generate."""

    tokens_per_day: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    """Tokens that one key may use in a day of UTC."""

    usd_per_month: Annotated[float, Field(ge=0.01, le=10_000_000)] | None = None
    """Money that one key may spend in a month of UTC, by the prices that the service states."""


class SecurityPolicy(Section):
    """What may be served, from where, and who may ask how much."""

    sources: Annotated[tuple[Pattern, ...], Tuple] | None = None
    """Addresses that models and their adapters may come from, such as `hf://HuggingFaceTB/*`,
    `s3://models/*`, or `run://*` for what `llmops finetune` has made on the machine."""

    licences: Annotated[tuple[Pattern, ...], Tuple] | None = None
    """Licences of models that may be served, by SPDX id, such as `apache-2.0`. A model whose
    licence is not known is refused then."""

    pinned: bool | None = None
    """Whether a Hugging Face model must name its full commit hash."""

    images: Images = Images()
    """Container images."""

    remote_code: bool | None = None
    """Whether an argument of the engine may let it run a model's own code. `false` refuses it, now
    and in a version that would allow it."""

    known_holes: Literal["refuse", "warn"] | None = None
    """What to do about an engine, Ray or web server of a version with a known security hole."""

    tls: bool | None = None
    """Whether an endpoint that others can reach must speak TLS."""

    exposure: Literal["machine", "network", "internet"] | None = None
    """The widest that an endpoint may be reached from: this machine or this cluster alone, its
    network, or beyond it by an Ingress or a Gateway."""

    regions: Annotated[tuple[Pattern, ...], Tuple] | None = None
    """Regions that machines may be in, for targets that have regions; on Kubernetes, contexts."""

    encryption: bool | None = None
    """Whether what is kept must be encrypted where a target lets one say so."""

    key_age: Annotated[Duration, Between("1h", "365d", "90d")] | None = None
    """How old an API key may become before it must be rotated."""

    tenants: Literal["apart", "together"] | None = None
    """`apart`: a runtime of the target `local` serves one service only, since services of one
    runtime share its Ray cluster; that keeps others away too, which the policy is not about.
    `together` says that they may."""

    limits: KeyLimits = KeyLimits()
    """The most that one API key may be allowed."""


class ObjectiveBound(Section):
    """The slowest objective that a service may aim at."""

    ttft: Annotated[Duration, Between("1ms", "1h", "500ms")] | None = None
    """Time to first token."""

    tpot: Annotated[Duration, Between("1ms", "1min", "50ms")] | None = None
    """Time per output token after the first."""


class ScalingPolicy(Section):
    """How many replicas there may be."""

    replicas: Replicas | None = None
    """Fewest and most replicas that a service may have."""

    scale_to_zero: bool | None = None
    """Whether a service may have no replica while nobody asks. Left out: it may."""

    warm: Annotated[int, Field(ge=0, le=100)] | None = None
    """Replicas that must be kept above what the load needs, at least, where their number follows
    the load."""

    objective: ObjectiveBound = ObjectiveBound()
    """The slowest objective that a service may aim at, where its number of replicas follows the
    load: a service without one is given it."""


class Freeze(Section):
    """Days on which nothing is changed."""

    first: Day
    """First day, from its beginning in the policy's zone."""

    last: Day
    """Last day, to its end."""

    reason: Text
    """Why, for whoever is refused."""


class MaintenancePolicy(Section):
    """When and how services may be changed."""

    windows: Annotated[tuple[WrittenWindow, ...], Tuple] | None = None
    """Times at which services may be changed, such as `Sun 02:00-04:00 Europe/Berlin`."""

    except_days: Annotated[tuple[Day, ...], Tuple] = ()
    """Days on which every window stays closed, from midnight to midnight in `zone`."""

    freezes: Annotated[tuple[Freeze, ...], Tuple] = ()
    """Stretches of days without any change."""

    zone: Annotated[str, Form("a time zone such as Europe/Berlin")] = "UTC"
    """Time zone of `except_days` and `freezes`."""

    strategies: Annotated[tuple[Literal["rolling", "canary", "recreate"], ...], Tuple] | None = None
    """How releases may follow one another."""

    drain: Wait | None = None
    """The least time that a replaced release must be given to finish its requests."""

    keep_releases: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The least number of ended releases whose record is kept."""


class Budget(Section):
    """Money that a service may cost, by the catalogue's prices."""

    usd_per_hour: Annotated[float, Field(ge=0.0001, le=1_000_000)] | None = None
    """Of all its replicas. Where their number follows the load, it is held at what this pays for;
    a service that is not paid for at its lowest number, or at its fixed one, is refused. One whose
    price is not known is told."""


class Rule(Section):
    """A rule of one's own: an expression that must be true."""

    id: RuleId
    """Its name in findings and waivers."""

    that: Annotated[str, Field(min_length=1, max_length=2000), Form("a CEL expression")]
    """A CEL expression over `deployment` and `plan` (as `llmops plan -o json` prints it) that is
    true where the rule is kept, such as `deployment.engine.dtype != "float16"`."""

    message: Text
    """What is wrong where it is not kept."""

    fix: Annotated[str, Field(max_length=500)] = ""
    """What to do then."""

    severity: Literal["block", "warn"] = "block"
    """Whether a deploy is refused, or only told."""

    path: Annotated[str, Field(max_length=200)] = ""
    """The field of the spec that it is about, dotted, so that its line can be shown."""


class Waiver(Section):
    """An exception from one rule, for some services, until a day."""

    rule: Annotated[str, Field(min_length=1, max_length=80), Form("the id of a finding")]
    """Id of the finding that it sets aside, such as `security.pinned`; of a rule of one's own,
    `rules.` and its id."""

    services: Annotated[tuple[Name, ...], Tuple]
    """Names of the services that it is for; no patterns, so that it does not widen by itself."""

    reason: Text
    """Why."""

    owner: Text
    """Who answers for it."""

    expires: Day
    """Last day that it holds on, in UTC."""


class Policy(Section):
    """A platform team's rules for what is deployed."""

    apiVersion: Literal["llmops/v1"] = "llmops/v1"  # noqa: N815 - the file's own spelling
    """Version of this format."""

    kind: Literal["Policy"]
    """What the file describes."""

    name: Name
    """Name of the policy: applying another of the same name replaces it."""

    layer: Annotated[Layer, Field(strict=False)] = Layer.ORGANISATION
    """Whose it is. A waiver of a layer sets aside findings of its own layer and narrower ones."""

    applies_to: AppliesTo = AppliesTo()
    """Which deployments it is about."""

    security: SecurityPolicy = SecurityPolicy()
    """What may be served, from where, and who may ask how much."""

    scaling: ScalingPolicy = ScalingPolicy()
    """How many replicas there may be."""

    maintenance: MaintenancePolicy = MaintenancePolicy()
    """When and how services may be changed."""

    budget: Budget = Budget()
    """Money that a service may cost."""

    rules: Annotated[tuple[Rule, ...], Tuple] = ()
    """Rules of one's own."""

    waivers: Annotated[tuple[Waiver, ...], Tuple] = ()
    """Exceptions, each with a reason, an owner and an end."""
