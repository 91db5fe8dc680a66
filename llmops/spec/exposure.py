"""What `target.expose` cannot mean: each kind has its own keys. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from llmops.spec.document import Finding
from llmops.spec.kubernetes import Expose
from llmops.spec.nodes import Trail
from llmops.spec.words import quoted

_EXPOSE: Trail = ("target", "expose")
_KIND: Trail = (*_EXPOSE, "kind")
_HOST = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
)

_OWN = {
    "none": (),
    "gateway": ("hostname", "gateway", "gateway_namespace", "issuer"),
    "ingress": ("hostname", "class_name", "issuer", "tls_secret"),
}
"""The keys of each kind."""

_NEEDED = {
    "gateway": {"hostname": "hostname: chat.example.com", "gateway": "gateway: public"},
    "ingress": {"hostname": "hostname: chat.example.com"},
}
"""What each kind cannot do without, and how it is written."""


def find_in_expose(expose: Expose) -> Iterator[Finding]:
    """Everything that is wrong with how the endpoint is shown to the outside."""
    for key in _EVERY:
        if getattr(expose, key) is not None and key not in _OWN[expose.kind]:
            yield _foreign(expose, key)
    for key, example in _NEEDED.get(expose.kind, {}).items():
        if getattr(expose, key) is None:
            message = f"expected a {key} for kind {expose.kind}, found nothing"
            yield Finding((*_EXPOSE, key), message, f"add '{example}'", (_KIND,), key=True)
    if expose.kind == "ingress" and expose.issuer is None and expose.tls_secret is None:
        message = "expected an issuer or a tls_secret for kind ingress, found neither"
        hint = "keys and texts must not travel in plain: add 'issuer: …' or 'tls_secret: …'"
        yield Finding((*_EXPOSE, "issuer"), message, hint, (_KIND,), key=True)
    if expose.kind == "ingress" and expose.issuer is not None and expose.tls_secret is not None:
        message = "expected an issuer or a tls_secret, found both"
        hint = "the issuer makes the Secret itself: remove one"
        yield Finding((*_EXPOSE, "tls_secret"), message, hint, ((*_EXPOSE, "issuer"),), key=True)
    if expose.hostname is not None and expose.kind != "none":
        yield from _hostname(expose.hostname)


_EVERY = tuple(dict.fromkeys(key for keys in _OWN.values() for key in keys))


def _foreign(expose: Expose, key: str) -> Finding:
    kinds = [kind for kind, keys in _OWN.items() if key in keys]
    message = f"expected no {key} with kind {expose.kind}, found '{getattr(expose, key)}'"
    hint = f"write kind: {' or '.join(kinds)}, or remove it"
    return Finding((*_EXPOSE, key), message, hint, (_KIND,), key=True)


def _hostname(name: str) -> Iterator[Finding]:
    trail: Trail = (*_EXPOSE, "hostname")
    if _is_address(name):
        message = f"expected a host name, found the address {quoted(name)}"
        yield Finding(trail, message, "a certificate and a route need a name: chat.example.com")
    elif not _HOST.fullmatch(name):
        message = f"expected a host name such as chat.example.com, found {quoted(name)}"
        yield Finding(trail, message, "write it in full: parts of at most 63 characters, with dots")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
