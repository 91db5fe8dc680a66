"""Several policies as one: which of them apply to a deployment, and what they come to together.

Field by field the strictest value holds, and who said it is kept. Calendars, rules and waivers are
not combined: each policy's own holds by itself. Nothing is decided about a deployment here; see
`govern` and `review`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmops.policies import ways
from llmops.policies.model import AppliesTo, Layer, Policy
from llmops.policies.patterns import matches
from llmops.policies.ways import Way
from llmops.spec import AgentTarget, Deployment, KubernetesTarget

WAYS: Mapping[str, Way] = {
    "security.sources": ways.EVERY,
    "security.licences": ways.EVERY,
    "security.pinned": ways.DEMANDED,
    "security.images.allowed": ways.EVERY,
    "security.images.digest": ways.DEMANDED,
    "security.remote_code": ways.PERMITTED,
    "security.known_holes": ways.HOLES,
    "security.tls": ways.DEMANDED,
    "security.exposure": ways.EXPOSURE,
    "security.regions": ways.EVERY,
    "security.encryption": ways.DEMANDED,
    "security.key_age": ways.LOWEST,
    "security.tenants": ways.TENANTS,
    "security.limits.requests_per_minute": ways.LOWEST,
    "security.limits.tokens_per_minute": ways.LOWEST,
    "security.limits.concurrent_requests": ways.LOWEST,
    "security.limits.max_tokens": ways.LOWEST,
    "security.limits.tokens_per_day": ways.LOWEST,
    "security.limits.usd_per_month": ways.LOWEST,
    "scaling.replicas": ways.RANGE,
    "scaling.scale_to_zero": ways.PERMITTED,
    "scaling.warm": ways.HIGHEST,
    "scaling.objective.ttft": ways.LOWEST,
    "scaling.objective.tpot": ways.LOWEST,
    "maintenance.strategies": ways.COMMON,
    "maintenance.drain": ways.HIGHEST,
    "maintenance.keep_releases": ways.KEPT,
    "budget.usd_per_hour": ways.LOWEST,
}
"""How each field combines, by its path in a policy."""

APART = (
    "maintenance.windows",
    "maintenance.except_days",
    "maintenance.freezes",
    "maintenance.zone",
    "rules",
    "waivers",
)
"""Fields that hold for each policy by itself: a calendar has its own zone, a rule its own id."""

ORDER = tuple(Layer)


@dataclass(frozen=True, slots=True)
class Said:
    """What one policy says of a field."""

    policy: str
    layer: Layer
    value: Any


@dataclass(frozen=True, slots=True)
class Decided:
    """What policies come to in one field."""

    path: str
    value: Any
    """The strictest value; for lists of patterns, all of the lists."""
    said: tuple[Said, ...]
    """All that say something of it, the widest layer first."""
    deciders: tuple[Said, ...]
    """Those that the value comes from; several may tie."""
    way: Way = field(repr=False)

    def admits(self, asked: Any) -> bool:
        """Whether a deployment may have `asked` there."""
        return self.way.admits(self.value, asked)

    def nearest(self, asked: Any) -> Any:
        """What a deployment may have there, as near as can be to `asked`."""
        return self.way.nearest(self.value, asked)


@dataclass(frozen=True, slots=True)
class Effective:
    """The policies that apply to a deployment, and what they come to."""

    policies: tuple[Policy, ...] = ()
    """The widest layer first; in a layer, by name."""
    decided: Mapping[str, Decided] = field(default_factory=dict)
    """By path: the fields that at least one policy says something of."""

    def value(self, path: str) -> Any:
        """The strictest value of a field; None when no policy bounds it."""
        found = self.decided.get(path)
        return found.value if found else None

    def said(self, path: str) -> tuple[Said, ...]:
        """What each policy says of a field, combined or not."""
        return tuple(_said(self.policies, path))


def effective(policies: Sequence[Policy], deployment: Deployment) -> Effective:
    """What the policies that apply to a deployment come to."""
    return combined([policy for policy in policies if applies(policy.applies_to, deployment)])


def combined(policies: Sequence[Policy]) -> Effective:
    """What policies come to, whatever they apply to."""
    ordered = tuple(sorted(policies, key=lambda p: (ORDER.index(p.layer), p.name)))
    found = (_decided(ordered, path, way) for path, way in WAYS.items())
    return Effective(ordered, {decided.path: decided for decided in found if decided})


def applies(to: AppliesTo, deployment: Deployment) -> bool:
    """Whether a policy is about a deployment. One outside of a cluster has no namespace."""
    target = deployment.target
    if not matches(deployment.name, to.services):
        return False
    made_on = target.made_on.kind if isinstance(target, AgentTarget) and target.made_on else ""
    if to.targets and not {target.kind, made_on} & set(to.targets):
        return False
    if not to.namespaces:
        return True
    return isinstance(target, KubernetesTarget) and matches(target.namespace, to.namespaces)


def _decided(policies: Sequence[Policy], path: str, way: Way) -> Decided | None:
    said = tuple(_said(policies, path))
    if not said:
        return None
    value = way.combined([one.value for one in said])
    deciders = tuple(one for one in said if way.decides(value, one.value))
    return Decided(path, value, said, deciders or said, way)


def _said(policies: Sequence[Policy], path: str) -> Iterator[Said]:
    """What policies say of a field; leaving it as it is by default says nothing."""
    *sections, name = path.split(".")
    for policy in policies:
        section: Any = policy
        for step in sections:
            section = getattr(section, step)
        value = getattr(section, name)
        if value != type(section).model_fields[name].default:
            yield Said(policy.name, policy.layer, value)
