"""All checks from outside, in the order in which they are made.

What uses up a key's limits comes late, and what looks at all answers last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from llmops.policies import Finding
from serving.auditing.check import Check, unchecked
from serving.auditing.outside import (
    access,
    answers,
    bounds,
    forms,
    framing,
    isolation,
    limits,
    spending,
    tls,
)
from serving.auditing.subject import Outside

Look = Callable[[Outside], Iterable[Finding]]

LOOKS: tuple[tuple[str, str, Look], ...] = (
    ("audit.anonymous", "what the routes answer to nobody", access.anonymous),
    ("audit.anonymous", "what generates, asked by nobody", access.generating),
    ("audit.health", "the health page", access.health),
    ("audit.wrong-key", "keys that are none", access.wrong_keys),
    ("audit.routes", "the engine's routes, asked with a key", access.past_the_allowlist),
    ("audit.paths", "paths in other spellings", forms.paths),
    ("audit.host", "the Host header", forms.hosts),
    ("audit.forwarded", "headers of proxies", forms.forwarded),
    ("audit.methods", "methods that no route has", forms.methods),
    ("audit.smuggling", "bodies whose length is told twice", framing.smuggling),
    ("audit.smuggling", "headers that are not well formed", framing.folded),
    ("audit.two-keys", "two keys in one request", framing.two_keys),
    ("audit.body", "a body beyond the limit", bounds.body),
    ("audit.choices", "more answers than the limit", bounds.choices),
    ("audit.max-tokens", "more tokens than the limit", bounds.tokens),
    ("audit.templates", "a chat template of the request's own", bounds.templates),
    ("audit.fields", "fields of the engine", bounds.fields),
    ("audit.media", "an address to be fetched", bounds.media),
    ("audit.schemas", "schemas beyond all bounds", bounds.schemas),
    ("audit.isolation", "other services", isolation.isolation),
    ("audit.errors", "requests that make no sense", answers.nonsense),
    ("audit.tls.plain", "the endpoint without TLS", tls.plain),
    ("audit.tls.version", "old versions of TLS", tls.versions),
    ("audit.tls.ciphers", "old ciphers", tls.ciphers),
    ("audit.tls.certificate", "the certificate", tls.certificate),
    ("audit.limits.tokens", "the limit of tokens per minute", limits.tokens),
    ("audit.limits.concurrent", "the limit of requests in flight", limits.concurrent),
    ("audit.limits.requests", "the limit of requests per minute", limits.requests),
    ("audit.limits.day", "the limit of tokens per day", spending.day),
    ("audit.limits.month", "the limit of money per month", spending.month),
    ("audit.expired-key", "a key after its end", access.expired),
    ("audit.revoked-key", "a key that was revoked", access.revoked),
    ("audit.traceback", "all answers, for what is inside", answers.tracebacks),
    ("audit.banner", "all answers, for names of programs", answers.banners),
    ("audit.key-in-answer", "all answers, for keys", answers.keys),
    ("audit.unchecked", "requests that had no answer", answers.silences),
)

NOT_PROXIED = frozenset({"audit.smuggling", "audit.paths", "audit.host", "audit.methods",
                         "audit.tls.plain", "audit.tls.version", "audit.tls.ciphers",
                         "audit.tls.certificate", "audit.two-keys"})  # fmt: skip
"""What says nothing of the gateway where a proxy on the way reads, and answers, it first: the API
server also keeps `authorization` to itself, so that of two keys one arrives."""


def outside_checks(outside: Outside) -> tuple[Check, ...]:
    """The checks of an endpoint."""
    return tuple(Check(i, what, _bound(i, what, look, outside)) for i, what, look in LOOKS)


def _bound(
    identifier: str, what: str, look: Look, outside: Outside
) -> Callable[[], Iterable[Finding]]:
    def run() -> Iterable[Finding]:
        if outside.caller.address.proxied and identifier in NOT_PROXIED:
            return _behind(what)
        return look(outside)

    return run


def _behind(what: str) -> Iterator[Finding]:
    yield unchecked(
        what,
        "requests pass through the API server, which reads them first",
        "--outside URL says where clients reach the endpoint",
    )
