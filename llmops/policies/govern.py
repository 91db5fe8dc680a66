"""Settings: what policies set where a spec leaves a default, so that plan and identity follow.

Only a default is ever changed, and only as far as a policy asks for. What somebody wrote stays as
it was written, for `review` to refuse where it is beyond: a value that is changed behind its
writer's back is a surprise, and a default is nobody's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.policies.layers import Decided, Effective
from llmops.policies.plain import at
from llmops.spec import Deployment, Section

FIELDS: Mapping[str, str] = {
    "security.limits.requests_per_minute": "security.requests_per_minute",
    "security.limits.tokens_per_minute": "security.tokens_per_minute",
    "security.limits.concurrent_requests": "security.concurrent_requests",
    "security.limits.max_tokens": "security.max_tokens",
    "security.limits.tokens_per_day": "security.tokens_per_day",
    "security.limits.usd_per_month": "security.usd_per_month",
    "scaling.replicas": "scaling.replicas",
    "scaling.warm": "scaling.warm",
    "scaling.objective.ttft": "scaling.objective.ttft",
    "scaling.objective.tpot": "scaling.objective.tpot",
    "maintenance.drain": "maintenance.drain",
    "maintenance.keep_releases": "maintenance.keep_releases",
}
"""By a field of a policy: the field of a spec that it sets, or bounds where that is written."""

NEEDS: Mapping[str, str] = {"security.usd_per_month": "security.prices"}
"""By a field of a spec: what only its writer can say and it means nothing without. Where that is
missing nothing is set, so that `review` refuses what could not be held."""

FOLLOWING = ("scaling.warm", "scaling.objective.ttft", "scaling.objective.tpot")
"""Fields of a spec that nothing acts on where the number of replicas is fixed. There a policy
bounds none of them, and sets none: what does nothing must not make a new release."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a spec that policies set."""

    path: str
    """Of the spec."""
    value: Any
    instead: Any
    """The default that the spec would have had."""
    policies: tuple[str, ...]
    """Names of the policies that the value comes from."""


def govern(deployment: Deployment, effective: Effective) -> Deployment:
    """The deployment as policies set it; the same one where they set nothing."""
    for setting in settings(deployment, effective):
        deployment = _with(deployment, setting.path.split("."), setting.value)
    return deployment


def settings(deployment: Deployment, effective: Effective) -> tuple[Setting, ...]:
    """What policies set in a deployment."""
    return tuple(_settings(deployment, effective))


def written(deployment: Deployment, path: str) -> bool:
    """Whether a field of a spec was written, and is not a default."""
    section: Any = deployment
    for step in path.split("."):
        if not isinstance(section, Section) or step not in section.model_fields_set:
            return False
        section = getattr(section, step)
    return True


def is_bounded(deployment: Deployment, path: str) -> bool:
    """Whether a policy that bounds a field of a spec says anything about this deployment."""
    replicas = deployment.scaling.replicas
    return replicas.low < replicas.high or path not in FOLLOWING


def _settings(deployment: Deployment, effective: Effective) -> Iterator[Setting]:
    for bound, path in FIELDS.items():
        decided = effective.decided.get(bound)
        if decided is None or not is_bounded(deployment, path):
            continue
        if written(deployment, path) or _lacks(deployment, path):
            continue
        default = at(deployment, path)
        value = decided.nearest(default)
        if value != default and _fits(deployment, path, value):
            yield Setting(path, value, default, _names(decided))


def _lacks(deployment: Deployment, path: str) -> bool:
    """Whether what a field needs beside it is missing."""
    return path in NEEDS and at(deployment, NEEDS[path]) is None


def _fits(deployment: Deployment, path: str, value: Any) -> bool:
    """Whether a spec could say so too: with all replicas kept warm, none is left for the load."""
    return path != "scaling.warm" or value < deployment.scaling.replicas.high


def _names(decided: Decided) -> tuple[str, ...]:
    return tuple(one.policy for one in decided.deciders)


def _with(section: Any, steps: list[str], value: Any) -> Any:
    """A section with another value at the end of the way."""
    name, *further = steps
    inner = _with(getattr(section, name), further, value) if further else value
    return section.model_copy(update={name: inner})
