"""How certificates for development are made: keys, extensions and PEM, and no decisions."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Pair = tuple[bytes, bytes]
"""A certificate and its private key, in PEM."""

AUTHORITY = "llmops development authority"
BEFORE = timedelta(minutes=5)
"""How much earlier than now a certificate begins, for clocks that go after."""


def make_authority(now: float, days: int) -> Pair:
    """A certificate that signs others, and itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(AUTHORITY, now, days).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return _signed(builder.add_extension(identifier, critical=False), AUTHORITY, key, key)


def make_server(authority: Pair, names: tuple[str, ...], now: float, days: int) -> Pair:
    """A certificate for a server of these names, signed by an authority."""
    signer = load_pem_private_key(authority[1], None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is of another kind than this program makes")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("llmops endpoint", now, days).public_key(key.public_key())
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs=False), critical=True)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(purpose, critical=False)
    alternatives = x509.SubjectAlternativeName([_name(name) for name in names])
    builder = builder.add_extension(alternatives, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return _signed(builder.add_extension(issuer, critical=False), AUTHORITY, key, signer)


def _builder(name: str, now: float, days: int) -> x509.CertificateBuilder:
    begins = datetime.fromtimestamp(now, UTC) - BEFORE
    builder = x509.CertificateBuilder(subject_name=_called(name))
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=days))


def _signed(
    builder: x509.CertificateBuilder,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Pair:
    certificate = builder.issuer_name(_called(issuer)).sign(signer, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
