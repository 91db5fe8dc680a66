"""The connections to one API server: kept alive, shared by threads, credentials renewed when they
end half-way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

import urllib3

from clusters import expiry
from clusters.broken import unreachable
from clusters.ports import Connection
from clusters.rest import CONNECT_SECONDS, Answer, Request


@dataclass(frozen=True, slots=True)
class Credentials:
    """Connections that are opened as one user. What is secret is in no `repr`."""

    server: str
    manager: urllib3.PoolManager = field(repr=False)
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    """Headers that say who asks; they may change while tokens are renewed."""
    connection: Callable[[], Connection] = field(repr=False)
    certificate: str = field(default="", repr=False)
    """The client certificate (never its key), as PEM."""


class Pool:
    """A Transport over kept-alive connections."""

    def __init__(self, load: Callable[[], Credentials]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._held: Credentials | None = None

    def send(self, request: Request) -> Answer:
        """See `Transport.send`. Credentials that the server refuses are loaded anew once."""
        held = self._credentials()
        answer = self._once(held, request)
        if answer.status == 401:
            answer = self._once(self._renewed(held), request)
        return answer

    def stream(self, request: Request) -> tuple[int, Iterator[bytes]]:
        held = self._credentials()
        response = self._ask(held, request, preload=False)
        return response.status, _chunks(held.server, response)

    def connection(self) -> Connection:
        return self._credentials().connection()

    def ended(self) -> str:
        """What is known to be wrong with the credentials, as a sentence; empty without."""
        held = self._credentials()
        token = held.headers().get("authorization", "").rpartition(" ")[2]
        return expiry.ended(held.certificate, token, datetime.now(UTC))

    def _credentials(self) -> Credentials:
        with self._lock:
            if self._held is None:
                self._held = self._load()
            return self._held

    def _renewed(self, refused: Credentials) -> Credentials:
        """Credentials read anew, unless another thread has done so."""
        with self._lock:
            if self._held is refused:
                self._held = self._load()
        return self._credentials()

    def _once(self, held: Credentials, request: Request) -> Answer:
        response = self._ask(held, request, preload=True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.data)

    def _ask(
        self, held: Credentials, request: Request, *, preload: bool
    ) -> urllib3.BaseHTTPResponse:
        with self._lock:
            # Renewing a token may run a plugin: once, not once a thread.
            headers = {"Accept": "application/json", **held.headers(), **request.headers}
        body = None
        if request.body is not None:
            headers["Content-Type"] = request.content
            body = json.dumps(request.body, separators=(",", ":")).encode()
        query = f"?{urlencode(request.query)}" if request.query else ""
        try:
            return held.manager.request(
                request.method,
                held.server + request.path + query,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=request.timeout),
                retries=False,
                redirect=False,
                preload_content=preload,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(held.server, error) from error


def _chunks(server: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from response.stream()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise unreachable(server, error) from error
    finally:
        response.close()
