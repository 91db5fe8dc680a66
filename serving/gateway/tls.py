"""The endpoint's TLS: a certificate and key from files, taken anew when they change.

A connection keeps the certificate that it began with; the next handshake sees the new one, so
renewing drops nobody. A pair that is damaged, does not match, or whose key others could read is not
taken: the one in use stays, and `state` says why. Nothing here asks for a client's certificate.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from serving.gateway.keys import private

MOST_BYTES = 2**20
"""Of a certificate with those that issued it; usual are a few thousand."""


class ServerTls:
    """What the endpoint's server speaks TLS with.

    Args:
        cert: File with the certificate, and those that issued it.
        key: File with its private key.

    Raises:
        InputError: When the pair cannot be used.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self._seen = self._signature()
        self._error = ""
        pair = read_pair(cert, key)
        self._in_use = pair
        self.context = _fresh(pair)
        """For the server. Its certificate is replaced in place."""

    def look(self) -> bool:
        """Take the files anew when they have changed; whether another pair is in use now."""
        signature = self._signature()
        if signature == self._seen and not self._error:
            return False
        self._seen = signature
        try:
            pair = read_pair(self._cert, self._key)
            if pair == self._in_use:
                self._error = ""
                return False
            _fresh(pair)  # tried apart: a pair that fails halfway must not be left in the server's
            _load(self.context, pair)
        except InputError as error:
            self._error = error.message
            return False
        self._in_use, self._error = pair, ""
        return True

    def state(self) -> dict[str, Any]:
        """The certificate file, and why what is in it now is not used; empty when it is."""
        return {"cert": str(self._cert), "error": self._error}

    def _signature(self) -> tuple[object, ...]:
        return tuple(_stat(path) for path in (self._cert, self._key))


def _stat(path: Path) -> object:
    """What changes when a file is written or replaced; a link counts for what it leads to."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def read_pair(cert: Path, key: Path) -> tuple[bytes, bytes]:
    """A certificate and its key, as their files hold them.

    Raises:
        InputError: When one cannot be read, others could read the key, or they do not match.
    """
    pair = _content(cert, "cert"), _content(key, "key")
    _fresh(pair)
    return pair


def _content(path: Path, field: str) -> bytes:
    where = f"target.tls.{field}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            groups = frozenset((os.getegid(), *os.getgroups()))
            found = os.fstat(descriptor)
            mine = private(found, mounted=False, user=os.getuid(), groups=groups)
            if field == "key" and not mine:
                raise InputError(
                    f"the private key {path} can be read by others, or is somebody else's",
                    hint=f"chown {os.getuid()} {path} && chmod 600 {path}",
                    path=where,
                )
            return file.read(MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}",
            hint="`llmops keys tls` makes a certificate to develop with, and prints its paths",
            path=where,
        ) from error


def _fresh(pair: tuple[bytes, bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    # Of TLS 1.2 only what keeps past traffic secret when the key is lost; 1.3 has nothing else.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    _load(context, pair)
    return context


def _load(context: ssl.SSLContext, pair: tuple[bytes, bytes]) -> None:
    """Load what was read once: files that change in between cannot be mixed."""
    try:
        with _in_memory(pair[0]) as cert, _in_memory(pair[1]) as key:
            context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise InputError(
            f"certificate and key cannot be used together: {_reason(error)}",
            hint="both must be PEM, the key without a password, and the certificate the key's own",
            path="target.tls",
        ) from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which OpenSSL can open `content`, which is on no disk."""
    descriptor = os.memfd_create("llmops-tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Keeps OpenSSL from asking on the terminal."""
    return ""


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "no PEM").replace("_", " ").lower()
