"""API keys that are too old, where the target has any yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops.policies.findings import Finding
from llmops.policies.layers import Effective
from llmops.policies.review.subject import KeyAge, Subject, against
from llmops.units import Duration

DAY = 86_400


def check_keys(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about the service's keys, as far as they are known."""
    keys, service = subject.known.keys, subject.deployment.name
    yield from key_age(effective, keys, service=service, now=subject.now)


def key_age(
    effective: Effective, keys: Sequence[KeyAge], *, service: str, now: float
) -> Iterator[Finding]:
    """Findings about keys that must be rotated; a revoked one opens nothing and is passed over."""
    bound = effective.decided.get("security.key_age")
    if bound is None:
        return
    for key in keys:
        age = Duration(min(max(0, int((now - key.created_at) * 1000)), Duration.LIMIT))
        if key.revoked_at is None and not bound.admits(age):
            days = int(now - key.created_at) // DAY
            yield against(
                bound, age, "security.keys",
                f"the key '{key.name}' is {days} days old, and at most {bound.value} is allowed",
                proof=f"'{key.name}' was made {days} days ago",
                fix=f"llmops keys rotate {service} {key.name}",
            )  # fmt: skip
