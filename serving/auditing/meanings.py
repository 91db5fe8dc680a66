"""What an audit may find: every id with its meaning."""

from __future__ import annotations

from collections.abc import Mapping

UNCHECKED = "audit.unchecked"

MEANINGS: Mapping[str, str] = {
    UNCHECKED: "A check could not be made, so nothing is known of what it is for.",
    "audit.anonymous": "A request without a key is answered with more than a refusal.",
    "audit.wrong-key": "A request with a key that does not exist is not refused.",
    "audit.revoked-key": "A key that was revoked still opens the endpoint.",
    "audit.expired-key": "A key still opens the endpoint after its end.",
    "audit.health": "The health page, which needs no key, tells more than whether it generates.",
    "audit.routes": "A route of the engine, or of Ray, can be reached past the allowlist.",
    "audit.paths": "A path that is written in another way leads past a check.",
    "audit.smuggling": "A request is read in two ways, so that one can hide in another.",
    "audit.two-keys": "A request with two keys is not refused.",
    "audit.host": "The Host header decides what a request may reach.",
    "audit.forwarded": "A header that only a proxy should set is believed from anybody.",
    "audit.methods": "A method that no route has is answered.",
    "audit.errors": "A request that makes no sense is not refused cleanly.",
    "audit.traceback": "An answer shows the inside of the program.",
    "audit.banner": "Answers name the server's program or version.",
    "audit.key-in-answer": "An answer repeats a key.",
    "audit.body": "A body that is larger than the limit is read.",
    "audit.choices": "A request may ask for more answers than the limit.",
    "audit.max-tokens": "A request may ask for more tokens than the limit.",
    "audit.templates": "A request may bring its own chat template.",
    "audit.fields": "A request may hold fields that reach past the API.",
    "audit.media": "A request may make the server fetch an address.",
    "audit.schemas": "A request may constrain its answer beyond all bounds.",
    "audit.isolation": "A key of one service opens another.",
    "audit.limits.requests": "The limit of requests per minute does not bite.",
    "audit.limits.concurrent": "The limit of requests in flight does not bite.",
    "audit.limits.tokens": "The limit of tokens per minute does not bite.",
    "audit.tls.plain": "The endpoint answers without TLS where it must not.",
    "audit.tls.version": "The endpoint speaks a version of TLS before 1.2.",
    "audit.tls.ciphers": "The endpoint takes ciphers that are no longer safe.",
    "audit.tls.certificate": "The endpoint's certificate is not trusted, or ends soon.",
    "audit.sockets": "A process of the runtime listens where nothing should.",
    "audit.files": "A file or folder of llmops is open to other users of the machine.",
    "audit.log": "The audit log is not what the gateway wrote.",
    "audit.versions": "What runs is not what was planned.",
    "audit.holes": "What runs has a known security hole.",
    "audit.environment": "A process of the runtime runs with a dangerous setting.",
    "audit.ray-token": "Ray does not ask for its token.",
    "audit.drift": "What runs is not what the releases say.",
    "audit.leftover-key": "A key of an earlier audit still opens the endpoint.",
    "audit.policy": "What is live breaks a policy that holds; the finding has the policy's own id.",
    "audit.pod-security": "The namespace does not hold pods to the Pod Security standards.",
    "audit.secret-env": "A pod has a secret in its environment.",
    "audit.images": "A pod runs an image that is not pinned by its digest.",
}
"""Every id of an audit's own. Findings of policies keep theirs."""
