"""Who gets in: nobody without a key, with a wrong one, or with one that has ended."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator

from llmops.policies import Finding, Severity
from serving.auditing.asking import Asked
from serving.auditing.check import unchecked
from serving.auditing.keys import AuditKey
from serving.auditing.outside.judging import closed
from serving.auditing.routes import GENERATING, OPEN, SERVED, Route
from serving.auditing.subject import Outside
from serving.auditing.telling import finding, together

EXPIRES_IN = 2.0
"""Seconds that a key lives which is made to expire."""
PATIENCE = 5.0
"""Seconds after a key's end until which it is asked again: a gateway reads keys now and then."""

KEYS_FIX = "this is a defect of what serves: take it off the network, and deploy again"


def anonymous(outside: Outside) -> Iterator[Finding]:
    """Every route, asked by nobody."""
    if why := outside.promises.routes_unknown:
        yield unchecked("routes of the live engine beyond those of vLLM 0.32", why)
    asked = [_as_nobody(outside, route) for route in outside.routes if route.path != OPEN]
    yield from together(
        "audit.anonymous",
        "a request without a key is answered with more than a refusal",
        (one for one in asked if not closed(one)),
        KEYS_FIX,
    )


def _as_nobody(outside: Outside, route: Route) -> Asked:
    """A real request where it can do no harm; otherwise one that only tells who has the path."""
    if route.concrete in GENERATING:
        return outside.ask("POST", route.concrete, document=_least(outside, route.concrete))
    return outside.ask(route.harmless, route.concrete)


def _least(outside: Outside, path: str) -> dict[str, object]:
    body = outside.body()
    if path.endswith("/chat/completions"):
        del body["prompt"]
        body["messages"] = [{"role": "user", "content": "1"}]
    return body


def generating(outside: Outside) -> Iterator[Finding]:
    """The routes that generate and the list of models, asked by nobody for the real thing."""
    asked = [
        outside.ask("POST", path, document=_least(outside, path)) for path in sorted(GENERATING)
    ]
    asked += [outside.ask("GET", f"/v1/models{more}") for more in ("", "/x")]
    yield from together(
        "audit.anonymous",
        "a request without a key is answered with more than a refusal",
        (one for one in asked if not closed(one)),
        KEYS_FIX,
    )


def wrong_keys(outside: Outside) -> Iterator[Finding]:
    """Keys that are none, in each form that a server could take for one."""
    identifier = "-".join(outside.key.text.split("-", 2)[:2])  # the secret may hold a hyphen too
    secret = secrets.token_urlsafe(32)
    forms = [
        ("Authorization", f"Bearer {identifier}-{secret}"),
        ("Authorization", f"Bearer llmops-{secrets.token_hex(8)}-{secret}"),
        ("Authorization", f"Bearer {identifier}-"),
        ("Authorization", "Bearer "),
        ("Authorization", "Bearer null"),
        ("Authorization", "Basic YWRtaW46YWRtaW4="),
        ("Authorization", f"Token {secret}"),
        ("x-api-key", secret),
        ("x-api-key", ""),
        ("api-key", secret),
        ("Cookie", f"api_key={secret}; session={secret}"),
    ]
    paths = ("/v1/models", "/metrics")
    asked = [outside.ask("GET", path, headers=[form]) for form in forms for path in paths]
    body = outside.body()
    asked += [outside.ask("POST", "/v1/completions", headers=[f], document=body) for f in forms[:2]]
    yield from together(
        "audit.wrong-key",
        "a request with a key that does not exist is not refused",
        (one for one in asked if not closed(one)),
        KEYS_FIX,
    )


def revoked(outside: Outside) -> Iterator[Finding]:
    """A key that was good, once it is revoked. It is the one that the audit asked with."""
    key = outside.key if outside.few_keys else outside.fresh()
    before = outside.caller.ask("GET", "/v1/models", key=key)
    outside.keys.revoke(key)
    after = outside.caller.ask("GET", "/v1/models", key=key)
    if before.answer.good and not closed(after):
        yield finding(
            "audit.revoked-key",
            f"the key '{key.name}' opens the endpoint after it was revoked",
            f"before: {before.proof}\nrevoked; after: {after.proof}",
            "end the runtime (llmops destroy) until the cause is found: no key can be taken back",
        )


def expired(
    outside: Outside,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """A key that was made to live for seconds, after these."""
    if outside.few_keys:
        yield from ()
        return
    end = clock() + EXPIRES_IN
    key = outside.keys.make(expires_at=end)
    sleep(max(0.0, end - clock()))
    after = _until_closed(outside, key, clock, sleep)
    if not closed(after):
        yield finding(
            "audit.expired-key",
            f"the key '{key.name}' opens the endpoint {clock() - end:.0f} s after its end",
            after.proof,
            f"revoke what should have expired: llmops keys list {outside.promises.service}",
        )


def _until_closed(
    outside: Outside, key: AuditKey, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Asked:
    end = clock() + PATIENCE
    while True:
        asked = outside.caller.ask("GET", "/v1/models", key=key)
        if closed(asked) or clock() >= end:
            return asked
        sleep(0.5)


def past_the_allowlist(outside: Outside) -> Iterator[Finding]:
    """Every route but those that are let through, asked with a good key."""
    asked = [
        outside.ask(route.harmless, route.concrete, keyed=True)
        for route in outside.routes
        if route.concrete not in SERVED
    ]
    yield from together(
        "audit.routes",
        "a route that is not on the allowlist is answered",
        (one for one in asked if one.answer.status not in (401, 403, 404)),
        "only the gateway's own four routes may be reached: nothing else may listen there",
    )


def health(outside: Outside) -> Iterator[Finding]:
    """The one page that needs no key."""
    asked = outside.ask("GET", OPEN)
    try:
        told = json.loads(asked.answer.body or b"{}")
    except ValueError:
        told = None
    if asked.answer.status in (200, 503) and isinstance(told, dict) and set(told) <= {"status"}:
        return
    if not closed(asked):
        yield finding(
            "audit.health",
            "the health page tells a stranger more than whether the service generates",
            asked.proof,
            "what answers there is not llmops' gateway: look at what listens on the port",
            Severity.WARN,
        )
