"""One registry over HTTP, for reading only: manifests and blobs by the v2 API.

Every answer is bounded in size, and what is named by a digest has it. Nothing is sent without TLS
but to this machine's own loopback. Redirects are followed without credentials to other hosts.
What a registry sends is never repeated in a message, since it may send back what it was sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from clusters.image.challenge import Challenge, parse_challenge
from clusters.image.credentials import Credentials
from clusters.image.reference import Reference, on_loopback

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
MOST_MANIFEST = 4 * 2**20
"""Bytes; what registries themselves take at most."""
MOST_BLOB = 8 * 2**20
"""Bytes of an image's configuration, which is text."""
MOST_TOKEN = 2**18
_REDIRECTS = 5
_REDIRECT = (301, 302, 303, 307, 308)
_OK, _UNAUTHORISED = 200, 401
_CODE = re.compile(r"[A-Z_]{3,40}")


class RegistryError(Exception):
    """The registry did not give what was asked for.

    `status` is its HTTP status, 0 when there was none. The message is fit to be shown.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes


class Registry:
    """Reads one repository of a registry.

    Args:
        reference: An image of the repository.
        credentials: Who to be, when the registry asks.
        deadline: By `time.monotonic`, when to give up.
        transport: How to send, in place of the network.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials | None,
        deadline: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._reference = reference
        self._credentials = credentials
        self._deadline = deadline
        self._authorisation = ""
        # A proxy of the environment cannot reach this machine's loopback.
        self._http = httpx.Client(transport=transport, trust_env=not reference.local)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def manifest(self, wanted: str) -> tuple[dict[str, Any], str]:
        """A manifest by tag or digest, and its digest.

        Raises:
            RegistryError: When it cannot be had, or is not what its digest says.
        """
        answer = self._get(f"manifests/{wanted}", ", ".join(MANIFESTS), MOST_MANIFEST)
        digest = _digest(answer.body)
        told = answer.headers.get("docker-content-digest", digest)
        if digest != (wanted if wanted.startswith("sha256:") else told):
            raise RegistryError(f"the manifest from {self._reference.registry} is not its digest's")
        return _document(answer.body, "manifest"), digest

    def blob(self, digest: str) -> dict[str, Any]:
        """A JSON blob by its digest.

        Raises:
            RegistryError: When it cannot be had, or is not what its digest says.
        """
        answer = self._get(f"blobs/{digest}", "*/*", MOST_BLOB)
        if _digest(answer.body) != digest:
            raise RegistryError(f"a blob from {self._reference.registry} is not its digest's")
        return _document(answer.body, "configuration")

    def _get(self, path: str, accept: str, most: int) -> Answer:
        scheme = "http" if self._reference.local else "https"
        base = f"{scheme}://{self._reference.host}/v2/{self._reference.repository}"
        address = httpx.URL(f"{base}/{path}")
        answer = self._follow(address, accept, most)
        if answer.status == _UNAUTHORISED and not self._authorisation:
            self._authorisation = self._authorise(answer.headers.get("www-authenticate", ""))
            answer = self._follow(address, accept, most)
        if answer.status != _OK:
            raise self._failed(answer)
        return answer

    def _follow(self, address: httpx.URL, accept: str, most: int) -> Answer:
        origin = _origin(address)
        for _ in range(_REDIRECTS):
            headers = {"Accept": accept}
            if self._authorisation and _origin(address) == origin:
                headers["Authorization"] = self._authorisation
            answer = self._send(address, headers, most)
            if answer.status not in _REDIRECT:
                return answer
            address = self._next(address, answer.headers.get("location", ""))
        raise RegistryError(f"{self._reference.registry} redirects without an end")

    def _next(self, address: httpx.URL, location: str) -> httpx.URL:
        try:
            found = address.join(location)
        except httpx.InvalidURL as error:
            raise RegistryError(f"{address.host} redirects to no address") from error
        self._must_be_safe(found)
        return found

    def _must_be_safe(self, address: httpx.URL) -> None:
        """Refuse what would travel unprotected, or reach into this machine from outside."""
        inside = on_loopback(address.host)
        if self._reference.local != inside or (address.scheme != "https" and not inside):
            raise RegistryError(
                f"{self._reference.registry} leads to {address.scheme}://{address.host}, which is"
                " not asked: only TLS is used, and loopback only for loopback"
            )

    def _authorise(self, header: str) -> str:
        challenge = parse_challenge(header)
        if challenge is None:
            raise RegistryError(
                f"{self._reference.registry} asks for credentials in a way that is not known",
                _UNAUTHORISED,
            )
        if challenge.scheme == "bearer":
            return f"Bearer {self._token(challenge)}"
        if self._credentials is None:
            raise RegistryError(f"{self._reference.registry} wants credentials", _UNAUTHORISED)
        return _basic(self._credentials)

    def _token(self, challenge: Challenge) -> str:
        try:
            address = httpx.URL(challenge.realm)
        except httpx.InvalidURL as error:
            raise RegistryError(f"{self._reference.registry} names no token server") from error
        self._must_be_safe(address)
        scope = challenge.scope or f"repository:{self._reference.repository}:pull"
        address = address.copy_merge_params({"service": challenge.service, "scope": scope})
        headers = {"Accept": "application/json"}
        if self._credentials is not None:
            headers["Authorization"] = _basic(self._credentials)
        answer = self._send(address, headers, MOST_TOKEN)
        if answer.status != _OK:
            raise self._failed(answer)
        found = _document(answer.body, "token")
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{address.host} gave no token")
        return token

    def _send(self, address: httpx.URL, headers: dict[str, str], most: int) -> Answer:
        """One request; no redirect is followed here."""
        try:
            left = max(0.1, self._deadline - time.monotonic())
            with self._http.stream("GET", address, headers=headers, timeout=left) as response:
                body = self._read(response, most)
                return Answer(response.status_code, response.headers, body)
        except (httpx.HTTPError, OSError) as error:
            # The error's own text may hold an address with a token in it.
            what = type(error).__name__
            raise RegistryError(f"{address.host} cannot be reached ({what})") from error

    def _read(self, response: httpx.Response, most: int) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            if size > most:
                raise RegistryError(f"{response.url.host} sends more than {most} bytes")
            if time.monotonic() > self._deadline:
                raise RegistryError(f"{response.url.host} is too slow")
            parts.append(part)
        return b"".join(parts)

    def _failed(self, answer: Answer) -> RegistryError:
        code = _error_code(answer.body)
        told = f"{answer.status}{f' {code}' if code else ''}"
        return RegistryError(f"{self._reference.registry} answers {told}", answer.status)


def _origin(address: httpx.URL) -> tuple[str, str, int | None]:
    return address.scheme, address.host, address.port


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _document(body: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"the {what} is not JSON") from error
    if not isinstance(found, dict):
        raise RegistryError(f"the {what} is not a JSON object")
    return found


def _error_code(body: bytes) -> str:
    """The code of an error as the API names it (`NAME_UNKNOWN`); nothing else is taken over."""
    try:
        code = json.loads(body)["errors"][0]["code"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
