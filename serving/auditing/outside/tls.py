"""The door's TLS, as a client finds it: whether it is there, how old, and whom it is for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

from llmops.errors import UnreachableError
from llmops.policies import Finding, Severity
from serving.auditing.check import unchecked
from serving.auditing.subject import Outside
from serving.auditing.telling import finding
from serving.auditing.wire import SECONDS, Address, send

DAY = 86_400
SOON = 14 * DAY
"""Seconds before a certificate's end from which on it is told."""

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)

WEAK = "ALL:COMPLEMENTOFALL:!AESGCM:!AESCCM:!CHACHA20:!aNULL:@SECLEVEL=0"
"""What OpenSSL still knows of ciphers that do not protect what they encrypt from being changed."""
NO_SECRECY = "kRSA:@SECLEVEL=0"
"""Those by which all past traffic can be read when the key is lost."""


def plain(outside: Outside) -> Iterator[Finding]:
    """A request without TLS, where the endpoint must speak it."""
    why = outside.promises.tls
    if not why:
        return
    address = replace(outside.caller.address, tls=None)
    content = outside.caller.request("GET", "/health")
    answer = send(address, content)
    # A TLS server may say in plain HTTP that it wants TLS, or where that is.
    if answer.good or answer.status >= 500:
        asked = outside.caller.note(content, answer)
        yield finding(
            "audit.tls.plain",
            f"the endpoint answers without TLS, and must not: {why}",
            f"over plain TCP to {address}: {asked.proof}",
            "target.tls makes it speak HTTPS; llmops keys tls makes a certificate to develop with",
        )


def versions(outside: Outside) -> Iterator[Finding]:
    """Versions before 1.2 (RFC 8996 forbids them)."""
    address = outside.caller.address
    if address.tls is None:
        return
    for version in OLD:
        agreed = _agreed(address, _old(version))
        if agreed:
            yield finding(
                "audit.tls.version",
                f"the endpoint speaks {agreed[0]}",
                f"handshake with {address}: {agreed[0]}, {agreed[1]}",
                "take TLS 1.2 and 1.3 only",
            )


def ciphers(outside: Outside) -> Iterator[Finding]:
    """Ciphers that are no longer safe."""
    address = outside.caller.address
    if address.tls is None:
        return
    for choice in (WEAK, NO_SECRECY):
        try:
            context = _unchecked()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(choice)
        except ssl.SSLError as error:
            yield unchecked("old ciphers", f"this OpenSSL cannot speak them: {error.reason}")
            continue
        if agreed := _agreed(address, context):
            yield finding(
                "audit.tls.ciphers",
                f"the endpoint takes the cipher {agreed[1]}",
                f"handshake with {address}: {agreed[0]}, {agreed[1]}",
                "take ECDHE with AES-GCM or ChaCha20 only",
            )


def certificate(outside: Outside) -> Iterator[Finding]:
    """Whether a client can trust it, and for how long."""
    address = outside.caller.address
    if address.tls is None:
        return
    fix = "renew it; the endpoint takes it over by itself"
    try:
        with _handshaken(address, address.tls) as link:
            ends = str((link.getpeercert() or {}).get("notAfter", ""))
    except ssl.SSLCertVerificationError as error:
        yield finding(
            "audit.tls.certificate", "the endpoint's certificate is not trusted",
            f"handshake with {address}: {error.verify_message}", fix,
        )  # fmt: skip
        return
    left = ssl.cert_time_to_seconds(ends) - time.time() if ends else SOON + 1
    if left < SOON:
        yield finding(
            "audit.tls.certificate",
            f"the endpoint's certificate ends in {int(left // DAY)} days",
            f"notAfter is {ends}",
            fix,
            Severity.WARN,
        )


def _old(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = _unchecked()
    with warnings.catch_warnings():  # that it is old is what this is about
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _unchecked() -> ssl.SSLContext:
    """For handshakes whose certificate is not the question; nothing is sent over them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _agreed(address: Address, context: ssl.SSLContext) -> tuple[str, str] | None:
    """Version and cipher of a handshake; None when the endpoint refuses it."""
    try:
        with _handshaken(address, context) as link:
            cipher = link.cipher()
            return str(link.version()), cipher[0] if cipher else ""
    except (ssl.SSLError, ConnectionError):
        return None


@contextlib.contextmanager
def _handshaken(address: Address, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    try:
        plain_socket = socket.create_connection((address.host, address.port), SECONDS)
    except OSError as error:
        raise UnreachableError(f"nobody can be reached at {address}: {error}") from error
    with plain_socket:
        name = address.server_name or address.host
        with context.wrap_socket(plain_socket, server_hostname=name) as link:
            yield link
