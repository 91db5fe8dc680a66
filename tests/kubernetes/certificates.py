"""Certificates of a cluster that lives for one run of the tests; nobody else trusts them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1", "10.0.0.1")
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


def new_key(path: Path) -> Key:
    """A private key, also written to a file that only its owner reads."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return key


class Authority:
    """Signs the API server's certificate and those of its users."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = new_key(folder / "ca.key")
        self._name = _name("llmops tests")
        made = _unsigned(self._name, self._name, self._key, timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = folder / "ca.crt"
        self._write(self.certificate, made)

    def server(self) -> Pair:
        """For 127.0.0.1 and localhost, and for the API server's own Service."""
        addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in SERVER_ADDRESSES]
        names = [*map(x509.DNSName, SERVER_NAMES), *addresses]
        return self._sign("server", _name("kube-apiserver"), timedelta(days=1), names)

    def client(self, user: str, *groups: str, valid: timedelta = timedelta(days=1)) -> Pair:
        """For a user by that very name; one that has expired when `valid` is negative."""
        return self._sign(f"client-{user}", _name(user, *groups), valid, [])

    def _sign(
        self, file: str, subject: x509.Name, valid: timedelta, names: list[x509.GeneralName]
    ) -> Pair:
        pair = Pair(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        made = _unsigned(subject, self._name, new_key(pair.key), valid)
        use = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(pair.certificate, made)
        return pair

    def _write(self, path: Path, made: x509.CertificateBuilder) -> None:
        signed = made.sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def _name(user: str, *groups: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: Key, valid: timedelta
) -> x509.CertificateBuilder:
    ends = datetime.now(UTC) + valid
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(ends, datetime.now(UTC)) - timedelta(hours=1))
        .not_valid_after(ends)
    )
