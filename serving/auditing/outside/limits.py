"""Limits of a minute, tried: politely, with keys of the audit's own, without generating much."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from llmops.policies import Finding
from serving.auditing.asking import Asked
from serving.auditing.check import unchecked
from serving.auditing.keys import AuditKey
from serving.auditing.subject import Outside
from serving.auditing.telling import finding

MOST_REQUESTS = 700
"""Requests that are sent to see a limit bite."""
MOST_AT_ONCE = 64

FIX = "the gateway has to hold to the limits of the release: deploy again, and look at llmops logs"


def requests(outside: Outside) -> Iterator[Finding]:
    """More requests in a minute than a key may start: questions for the models, not generations."""
    limit = outside.promises.limits.requests_per_minute
    if limit > MOST_REQUESTS:
        yield from _told(outside, "requests", limit)
        return
    key = outside.fresh()
    # A limit refills while it is used up; so much more than it all are one too many.
    most = limit + limit // 5 + 2
    for _ in range(most):
        asked = outside.caller.ask("GET", "/v1/models", key=key)
        if asked.answer.status == 429:
            yield from _retry_after(asked)
            return
        if not asked.answer.good:
            yield unchecked("the limit of requests per minute", asked.proof)
            return
    yield finding(
        "audit.limits.requests",
        f"a key may start {limit} requests in a minute, and {most} at once were answered",
        asked.proof,
        FIX,
    )


def _retry_after(asked: Asked) -> Iterator[Finding]:
    """A refusal must say when to come back, or clients come at once."""
    if not asked.answer.header("retry-after"):
        yield finding(
            "audit.limits.requests", "a refusal for too many requests has no Retry-After",
            asked.proof, FIX,
        )  # fmt: skip


def _told(outside: Outside, what: str, limit: int) -> Iterator[Finding]:
    """What the answers themselves say of a limit that is too high to be reached."""
    asked = outside.ask("GET", "/v1/models", keyed=True)
    told = asked.answer.header(f"x-ratelimit-limit-{what}")
    if told != str(limit):
        yield finding(
            f"audit.limits.{what}",
            f"the limit of {what} per minute is {limit}, and answers say {told or 'nothing'}",
            asked.proof,
            FIX,
        )
    else:
        yield unchecked(
            f"whether {limit} {what} per minute are the most",
            f"it takes more than the {MOST_REQUESTS} requests of an audit; answers say {told}",
        )


def concurrent(outside: Outside) -> Iterator[Finding]:
    """More requests in flight than a key may have. Their bodies are held back: none generates."""
    limit = outside.promises.limits.concurrent_requests
    if limit is None:
        return
    if limit > MOST_AT_ONCE or limit >= outside.promises.limits.requests_per_minute:
        yield unchecked("the limit of requests in flight", f"{limit} at once are too many to try")
        return
    key = outside.fresh()
    content = json.dumps(outside.body()).encode()
    whole = outside.caller.request("POST", "/v1/completions", key, body=content)
    with contextlib.ExitStack() as stack:
        for _ in range(limit):
            stack.enter_context(outside.caller.open()).send(whole[: -len(content)])
        over = _one_more(outside, key)
    if over.answer.status != 429:
        yield finding(
            "audit.limits.concurrent",
            f"a key may have {limit} requests in flight, and one more was answered",
            f"{limit} x {outside.caller.shown(whole)}, their bodies held back; then {over.proof}",
            FIX,
        )


def _one_more(outside: Outside, key: AuditKey) -> Asked:
    """The request that is one too many. Those before it may not have been read yet."""
    for _ in range(20):
        asked = outside.caller.ask("GET", "/v1/models", key=key)
        if asked.answer.status == 429:
            break
    return asked


def tokens(outside: Outside) -> Iterator[Finding]:
    """Tokens per minute: what a generation takes must be missing afterwards."""
    limit = outside.promises.limits.tokens_per_minute
    if limit is None:
        return
    asked = outside.complete()
    told, left = (
        asked.answer.header(f"x-ratelimit-{what}-tokens") for what in ("limit", "remaining")
    )
    if told != str(limit) or not left.isdigit() or int(left) >= limit:
        yield finding(
            "audit.limits.tokens",
            f"the limit of tokens per minute is {limit}; a generation leaves {left or 'nothing'}"
            f" of {told or 'nothing'}",
            asked.proof,
            FIX,
        )
