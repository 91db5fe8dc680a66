"""One request to an API server as a value, and how often it may be repeated.

The transport is a seam: tests hand the client a function where a pool of connections would be. What
changes something is never sent twice, unless the server said that it did not look at it (429).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from clusters.ports import Connection
from clusters.trouble import Unreachable

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

READ_SECONDS = 30.0
"""Longest time without a byte from the server."""
CONNECT_SECONDS = 5.0

TRIES = 4
FIRST_WAIT_SECONDS = 0.25
MOST_WAIT_SECONDS = 10.0
"""A server that asks for more patience than this is not waited for."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `body` is sent as JSON; None means that there is none."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = READ_SECONDS
    """Seconds without a byte; None waits for ever, as following a log does."""
    safe: bool = False
    """Whether it changes nothing, so that it may be sent again after a failure."""
    patient: bool = True
    """Whether 429 means that the server is busy; for an eviction it is the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What carries requests: a pool of connections, or a test's own."""

    def send(self, request: Request) -> Answer:
        """Send once.

        Raises:
            Unreachable: When there was no answer.
        """
        ...

    def stream(self, request: Request) -> tuple[int, Iterator[bytes]]:
        """Send once; the status, and the body as it comes in."""
        ...

    def connection(self) -> Connection: ...

    def ended(self) -> str:
        """What is known to be wrong with the credentials, as a sentence; empty without."""
        ...


def patiently(
    send: Callable[[Request], Answer],
    request: Request,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Send, and again a few times where that is safe and may help.

    Raises:
        Unreachable: When there was no answer at the last try.
    """
    for attempt in range(TRIES - 1):
        pause = FIRST_WAIT_SECONDS * 2**attempt
        try:
            answer = send(request)
        except Unreachable as trouble:
            if not (request.safe and trouble.passing):
                raise
        else:
            asked = _retry_after(answer)
            if not _again(request, answer) or (asked or 0) > MOST_WAIT_SECONDS:
                return answer
            pause = pause if asked is None else asked
        sleep(pause)
    return send(request)


def _again(request: Request, answer: Answer) -> bool:
    if answer.status == 429:
        return request.patient
    # 500 also stands for an object that does not fit its schema: that stays so.
    busy = answer.status in {502, 503, 504} or (answer.status == 500 and _retry_after(answer))
    return request.safe and bool(busy)


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def from_server(answer: Answer) -> bool:
    """Whether the API server itself answered, and not the pod behind it."""
    return b'"kind":"Status"' in answer.body.replace(b" ", b"")


def lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Text that comes in pieces, line by line."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")
