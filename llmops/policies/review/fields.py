"""Numbers and ranges that a spec says and a policy bounds: one way of looking at all of them.

What a policy set in place of a default is within it already (`govern`); what is left here was
written, and nobody changes what somebody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmops.policies import ways
from llmops.policies.findings import Finding
from llmops.policies.govern import FIELDS, NEEDS, is_bounded
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import Subject, against, at
from llmops.spec import Deployment
from llmops.units import Replicas

LIMITS = "security.limits."


def check_fields(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about every field that a policy bounds by a number or a range."""
    for bound, field in FIELDS.items():
        held = effective.decided.get(bound)
        if held is None or not is_bounded(subject.deployment, field):
            continue
        for path, asked in _asked(subject.deployment, bound, field):
            if not held.admits(asked):
                yield _beyond(held, path, asked, _needed(subject.deployment, path))


def _asked(deployment: Deployment, bound: str, field: str) -> Iterator[tuple[str, Any]]:
    """A field and what else says the same for a part of it: for one key, or at certain times.

    A key of its own without a limit has that of all keys.
    """
    yield field, at(deployment, field)
    if bound.startswith(LIMITS):
        name = bound.removeprefix(LIMITS)
        for key, limits in deployment.security.per_key.items():
            if (asked := getattr(limits, name)) is not None:
                yield f"security.per_key.{key}.{name}", asked
    if bound == "scaling.replicas":
        for index, entry in enumerate(deployment.scaling.schedule):
            yield f"scaling.schedule[{index}].replicas", entry.replicas


def _needed(deployment: Deployment, path: str) -> str:
    """What a field means nothing without, where that is missing."""
    need = NEEDS.get(path, "")
    return need if need and at(deployment, need) is None else ""


def _beyond(held: Decided, path: str, asked: Any, needed: str) -> Finding:
    nearest = held.nearest(asked)
    found = "not set" if asked is None else asked
    fix = f"set {path}: {nearest}" + (f", and {needed}" if needed else "")
    return against(
        held, asked, path, f"{path} is {found}, and {_words(held)}",
        proof=f"{path}: {found}",
        fix=fix if held.admits(nearest) else "ask whose policies these are",
    )  # fmt: skip


def _words(held: Decided) -> str:
    value = held.value
    if held.way is ways.LOWEST:
        return f"at most {value} is allowed"
    if not isinstance(value, Replicas):
        return f"at least {value} is asked for"
    if value.low > value.high:
        return f"no number is allowed: at least {value.low}, and at most {value.high}"
    return f"{value} is allowed"
