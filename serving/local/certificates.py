"""The endpoint's certificate, as its file says: whom it is for, until when, and who trusts it.

What the endpoint could not speak TLS with is refused before anything is started, with what to do.
This user's own commands check the certificate like any client: against the system's authorities,
the one that `llmops keys tls` made, and the certificate's own file, which the spec names. Nothing
here switches a check off.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InputError
from serving.gateway import read_pair

if TYPE_CHECKING:
    from cryptography import x509

DAY = 86_400.0
SOON = 14 * DAY
"""Seconds before its end from which on a certificate is told to be renewed."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is looked at of a certificate. Times are Unix seconds."""

    names: tuple[str, ...]
    """Host names and addresses that it is for."""
    begins_at: float
    ends_at: float

    def name_for(self, host: str) -> str:
        """The name by which an endpoint on `host` can be checked: its own, else the first that is
        no pattern."""
        plain = [name for name in self.names if "*" not in name]
        if host in self.names or not self.names:
            return host
        return plain[0] if plain else self.names[0].replace("*", "llmops", 1)


def read_certificate(path: Path) -> Certificate:
    """The first certificate of a PEM file.

    Raises:
        InputError: When there is none.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no certificate", path="target.tls.cert") from error
    return Certificate(
        tuple(_names(found)),
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
    )


def _names(found: x509.Certificate) -> list[str]:
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        value = found.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    addresses = [str(address) for address in value.get_values_for_type(IPAddress)]
    return [*value.get_values_for_type(DNSName), *addresses]


def check_certificate(cert: Path, key: Path, now: float) -> tuple[str, ...]:
    """Refuse what the endpoint could not use; what is to be known of the rest.

    Raises:
        InputError: When the pair cannot be used, is for nobody, or is not valid now.
    """
    read_pair(cert, key)
    found = read_certificate(cert)
    if not found.names:
        raise InputError(
            f"the certificate {cert} names no host: clients check its subjectAltName only",
            hint="have it issued with the names that clients ask for",
            path="target.tls.cert",
        )
    if not found.begins_at <= now < found.ends_at:
        word = "expired" if now >= found.ends_at else "is not valid before"
        when = _day(found.ends_at if now >= found.ends_at else found.begins_at)
        raise InputError(
            f"the certificate {cert} {word} {when}",
            hint="renew it; one of `llmops keys tls` with --renew",
            path="target.tls.cert",
        )
    return expiry_notes(cert, found, now)


def expiry_notes(cert: Path, found: Certificate, now: float) -> tuple[str, ...]:
    """What is to be said of a certificate that ends soon."""
    left = found.ends_at - now
    if left > SOON:
        return ()
    state = (
        f"expires in {int(left // DAY)} days ({_day(found.ends_at)})"
        if left > 0
        else (f"expired {_day(found.ends_at)}")
    )
    return (f"the certificate {cert} {state}: renew it; the endpoint takes it over by itself",)


def trust(cert: Path, home: Path) -> ssl.SSLContext:
    """What this user's own commands check the endpoint's certificate by."""
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for file in (authority_file(home), cert):
        with contextlib.suppress(OSError, ssl.SSLError):  # then the others have to do
            context.load_verify_locations(file)
    return context


def authority_file(home: Path) -> Path:
    """Where the authority for development keeps its certificate."""
    return home / "tls" / "ca.pem"


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("on %Y-%m-%d")
