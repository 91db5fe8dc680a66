"""Bytes to an endpoint and back: what a stranger could send, so no HTTP library stands in between.

A library would put right what is to be sent wrong on purpose: paths, framing, doubled headers.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from llmops.errors import InputError, UnreachableError
from serving.client import Line

SECONDS = 15.0
"""For one answer: the machine may be busy."""
SILENCE = "no answer in"
MOST = 65536
"""Bytes of an answer that are looked at."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is, and what stands before it."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """What the certificate is checked by; None is plain HTTP."""
    server_name: str = ""
    """Name that the certificate must be for, where that is not `host`."""
    prefix: str = ""
    """What a proxy on the way wants before each path."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What it wants of each request; may hold a credential."""
    proxied: bool = False
    """Whether such a proxy takes `Authorization` for itself, and reads what is sent."""

    @classmethod
    def of(cls, url: str, line: Line | None = None) -> Self:
        """The address of a base URL that ends in `/v1`.

        Raises:
            InputError: When it is none.
        """
        line = line or Line()
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InputError(f"{url!r} is no URL: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise InputError(f"expected http(s)://HOST[:PORT]/v1, found {url!r}")
        tls = None
        if parts.scheme == "https":
            own = line.verify if isinstance(line.verify, ssl.SSLContext) else None
            tls = own or ssl.create_default_context()
        return cls(
            parts.hostname,
            port or (443 if tls else 80),
            tls,
            line.server_name,
            parts.path.rstrip("/").removesuffix("/v1"),
            line.headers,
            line.proxied,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    """0 where no HTTP answer came."""
    reason: str
    """Of the status line; without an answer, what happened instead."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    rest: bytes = b""
    """What came after the answer, on the same connection."""
    opaque: bytes = field(default=b"", repr=False)
    """All bytes as they came."""

    def header(self, name: str) -> str:
        """A header's first value; empty without one."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def good(self) -> bool:
        """Whether it gives what was asked for."""
        return 200 <= self.status < 300

    @property
    def silent(self) -> bool:
        """Whether nothing came in time, which says neither that it was refused nor taken."""
        return not self.status and self.reason.startswith(SILENCE)

    @property
    def again(self) -> bool:
        """Whether a second answer came, to what the sender meant as one request."""
        return self.rest.startswith(b"HTTP/")

    def __str__(self) -> str:
        if not self.status:
            return self.reason
        text = self.body[:160].decode("utf-8", "replace")
        more = f", {' '.join(text.split())[:160]}" if text.strip() else ""
        second = "; and a second answer to the same request" if self.again else ""
        return f"{self.status} {self.reason}{more}{second}"


def require(address: Address) -> None:
    """Do nothing where somebody listens.

    Raises:
        UnreachableError: When nobody does.
    """
    try:
        socket.create_connection((address.host, address.port), SECONDS).close()
    except OSError as error:
        raise UnreachableError(
            f"nobody can be reached at {address}: {error}",
            hint="--outside URL says where clients reach the endpoint",
        ) from error


class Link:
    """One connection to an endpoint.

    Raises:
        UnreachableError: When nobody can be connected to.
    """

    def __init__(self, address: Address, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        try:
            self._socket = _connected(address, seconds)
        except (OSError, ssl.SSLError) as error:
            raise UnreachableError(f"nobody can be reached at {address}: {error}") from error
        self._method = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Send; a server that has answered and closed before the end is no failure."""
        self._method = content.split(b" ", 1)[0].decode("latin-1")
        with contextlib.suppress(OSError):
            self._socket.sendall(content)

    def receive(self, *, linger: float = 0.0) -> Answer:
        """The next answer.

        Args:
            linger: Seconds to wait for more after its end.
        """
        got, end = b"", time.monotonic() + self._seconds
        why = "the connection was closed without an answer"
        ended = False
        while len(got) < MOST and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(max(0.01, left))
            try:
                piece = self._socket.recv(16384)
            except TimeoutError:
                why = f"{SILENCE} {self._seconds:g} s"
                break
            except OSError as error:
                why = f"the connection was broken: {error.strerror or error}"
                break
            if not piece:
                break
            got += piece
            if not ended and _whole(got, self._method):
                if not linger:
                    break
                ended, end = True, time.monotonic() + linger
        return _parsed(got, self._method, why)

    def begin(self) -> Answer:
        """The answer as far as its first bytes show it; whoever asked may then hang up."""
        try:
            self._socket.settimeout(self._seconds)
            got = self._socket.recv(16384)
        except OSError as error:
            return Answer(0, f"no answer: {error}", (), b"")
        return _parsed(got, self._method, "the connection was closed without an answer")


def send(
    address: Address, content: bytes, *, linger: float = 0.0, seconds: float = SECONDS
) -> Answer:
    """Send bytes on a connection of their own; the answer.

    Args:
        address: Where to.
        content: What.
        linger: Seconds to wait for more after the answer's end.
        seconds: How long to wait for it.

    Raises:
        UnreachableError: When nobody can be connected to.
    """
    with Link(address, seconds=seconds) as link:
        link.send(content)
        return link.receive(linger=linger)


def _connected(address: Address, seconds: float) -> socket.socket:
    plain = socket.create_connection((address.host, address.port), seconds)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.tls is None:
        return plain
    try:
        return address.tls.wrap_socket(plain, server_hostname=address.server_name or address.host)
    except BaseException:
        plain.close()
        raise


class _Bytes(io.BytesIO):
    """Bytes that http.client takes for a socket."""

    def makefile(self, *_: object) -> _Bytes:
        return self

    def close(self) -> None:
        """Stay open: what follows the answer is read after it."""


def _read(got: bytes, method: str) -> tuple[http.client.HTTPResponse, bytes, _Bytes]:
    source = _Bytes(got)
    answer = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
    answer.begin()
    return answer, answer.read(), source


def _whole(got: bytes, method: str) -> bool:
    """Whether an answer has come to an end that its head tells."""
    try:
        answer, _, _ = _read(got, method)
    except (http.client.HTTPException, ValueError):
        return False
    return answer.chunked or answer.headers.get("content-length") is not None


def _parsed(got: bytes, method: str, why: str) -> Answer:
    try:
        answer, body, source = _read(got, method)
    except http.client.IncompleteRead as error:
        head, _, _ = got.partition(b"\r\n\r\n")
        status, _, reason = head.partition(b"\r\n")[0].partition(b" ")[2].partition(b" ")
        headers = tuple(_header(line) for line in head.split(b"\r\n")[1:])
        return Answer(int(status), reason.decode("latin-1"), headers, error.partial, b"", got)
    except (http.client.HTTPException, ValueError):
        if got:
            why = f"no HTTP: {got[:60]!r}"
        return Answer(0, why, (), b"", b"", got)
    headers = tuple(answer.headers.items())
    return Answer(answer.status, answer.reason, headers, body, source.read(), got)


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name, value.strip()
