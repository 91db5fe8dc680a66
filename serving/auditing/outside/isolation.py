"""Tenants: a key opens its own service, and does not learn of others."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies import Finding
from serving.auditing.subject import Outside
from serving.auditing.telling import together

NOBODY = "audit-no-such-service"
"""Asked for where the endpoint has no other service: what does not exist is refused in the same
way."""


def isolation(outside: Outside) -> Iterator[Finding]:
    """Other services of the endpoint, asked for with a key that is not theirs."""
    others = outside.promises.others or (NOBODY,)
    asked = []
    for other in others:
        asked.append(outside.complete(model=other))
        asked.append(outside.ask("GET", f"/v1/models/{other}", keyed=True))
    listed = outside.ask("GET", "/v1/models", keyed=True)
    named = any(f'"{other}"'.encode() in listed.answer.body for other in others)
    wrong = [one for one in asked if one.answer.status not in (401, 403, 404)]
    yield from together(
        "audit.isolation",
        f"a key of {outside.promises.service} opens another service, or shows it",
        [*wrong, *([listed] if named else [])],
        "a key is for one service: serve tenants apart until this is mended",
    )
