"""A request in another form: paths, hosts, methods and headers that lead past a naive check."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies import Finding
from serving.auditing.asking import Asked
from serving.auditing.outside.judging import closed, rejected
from serving.auditing.subject import Outside
from serving.auditing.telling import together

AS_NOBODY = (
    "//v1/models", "/./v1/models", "/v1//models", "/v1/./models", "/x/../v1/models",
    "/v1/models/", "/V1/MODELS", "/v1/models;x=1", "/v1;x/models", "/%76%31/models",
    "/v1%2fmodels", "/%2e/v1/models", "/v1/models%00", "/v1/models%20", "/v1/models?x=/health",
    "/v1/models#/health", "/health/../v1/models", "/health/..%2fv1/models",
    "/health%2f..%2fv1/models", "/health;/../v1/models", "/health/v1/models",
    "/health%23/v1/models", "/health\\..\\v1\\models", "http://localhost/v1/models",
    "http://localhost/health/../v1/models", "*",
)  # fmt: skip
"""Ways to write the path of the models' list for somebody without a key."""

TO_INSIDE = (
    "//metrics", "/./metrics", "/v1/models/../../metrics", "/v1/models/..%2f..%2fmetrics",
    "/v1/models/%2e%2e/%2e%2e/metrics", "/v1/completions/../../metrics", "/metrics/", "/METRICS",
    "/metrics?x=/v1/models", "/metrics;/v1/models", "/%6d%65trics", "/health/../metrics",
    "/v1/%2e%2e/metrics", "/v1/..;/metrics", "http://localhost/metrics",
    "/v1/models#/../../metrics",
)  # fmt: skip
"""Ways to write the path of a page inside for somebody with a key."""

HOSTS = (
    "a/?x=", "localhost/health?", "health", "127.0.0.1:8265", "localhost#", "x/v1/models?",
    "x@127.0.0.1", "[::1]:9", "..", "",
)  # fmt: skip

MARK = "llmops-audit-mark"


def paths(outside: Outside) -> Iterator[Finding]:
    """Paths in other spellings."""
    wrong = [a for p in AS_NOBODY if not _nothing(a := outside.ask("GET", p))]
    wrong += [a for p in TO_INSIDE if (a := outside.ask("GET", p, keyed=True)).answer.good]
    yield from together(
        "audit.paths",
        "a path that is written in another way leads past a check",
        wrong,
        "decide on the raw path, and let no proxy in front of the gateway rewrite it",
    )


def _nothing(asked: Asked) -> bool:
    """Whether nobody got nothing: what cannot be a request at all may be told so."""
    return closed(asked) or asked.answer.status in (400, 414, 431)


def hosts(outside: Outside) -> Iterator[Finding]:
    """Host headers that a server could take for a part of the path."""
    wrong = [a for h in HOSTS if not _nothing(a := outside.ask("GET", "/v1/models", host=h))]
    wrong += [
        a for h in HOSTS if (a := outside.ask("GET", "/metrics", keyed=True, host=h)).answer.good
    ]
    twice = outside.ask("GET", "/metrics", keyed=True, headers=[("Host", "x/v1/models")])
    yield from together(
        "audit.host",
        "the Host header decides what a request may reach",
        [*wrong, *([twice] if twice.answer.good else [])],
        "decide on the raw path alone",
    )


def forwarded(outside: Outside) -> Iterator[Finding]:
    """Headers that a proxy sets, from somebody who is none."""
    local = ("127.0.0.1", "::1")
    as_nobody = [
        *(("X-Forwarded-For", address) for address in local),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1;host=localhost;proto=https"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-User", "operator"),
        ("X-Remote-User", "operator"),
        ("X-Forwarded-Prefix", "/health"),
        ("X-HTTP-Method-Override", "GET"),
        ("Connection", "close, authorization, x-api-key"),
        ("llmops-release", "1"),
    ]
    wrong = [a for h in as_nobody if not closed(a := outside.ask("GET", "/v1/models", headers=[h]))]
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"):
        asked = outside.ask("GET", "/health", headers=[(name, "/v1/models")])
        wrong += [asked] if b'"object"' in asked.answer.body else []
        asked = outside.ask("GET", "/v1/models", keyed=True, headers=[(name, "/metrics")])
        wrong += [asked] if asked.answer.good and b'"object"' not in asked.answer.body else []
    yield from together(
        "audit.forwarded",
        "a header that only a proxy should set is believed from anybody",
        wrong,
        "take such headers away before the gateway",
    )


def methods(outside: Outside) -> Iterator[Finding]:
    """Methods that no route has; TRACE would give a page the headers of its reader."""
    keyed = [
        outside.ask(method, path, keyed=True, headers=[("X-Mark", MARK)])
        for method in ("TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND")
        for path in ("/v1/models", "/v1/completions")
    ]
    keyed.append(outside.ask("GET", "/v1/completions", keyed=True))
    nobody = [outside.ask(m, "/health") for m in ("POST", "DELETE", "TRACE")]
    nobody.append(outside.raw(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n"))
    wrong = [a for a in [*keyed, *nobody] if not rejected(a) or MARK.encode() in a.answer.body]
    yield from together(
        "audit.methods",
        "a method that no route has is answered",
        wrong,
        "let only GET and HEAD reach /v1/models and /health, and POST the routes that generate",
    )
