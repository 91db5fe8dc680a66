"""What stands behind the gateway: the protocol it speaks to a release, whatever carries it.

A Serve handle is one carrier, HTTP to another runtime can be another; the gateway knows neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

Headers = list[tuple[str, str]]


class UpstreamGone(Exception):
    """The release or its replica is not there any more.

    Args:
        died: Which death of an engine this request was in flight at; empty where it was at none,
            or where the death is known to have come from outside.
    """

    def __init__(self, message: str = "", *, died: str = "") -> None:
        super().__init__(message)
        self.died = died


class UpstreamBusy(Exception):
    """Every replica of the release is full."""


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """A release of a service, by number."""

    service: str
    number: int


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request, its body already checked and bounded."""

    method: str
    path: str
    headers: Headers
    body: bytes
    request_id: str
    session: str = ""
    """Requests with the same one are best answered by one replica; empty for any."""
    model: str = ""
    """The release's model name that it is to be answered as; empty for the service's own."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """The answer's head, and its body as it comes: an asynchronous generator, whose `aclose` stops
    the generation."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


class Upstream(Protocol):
    """Sends a request to a release."""

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        """Returns once the head of the answer is known.

        A caller that cancels this has lost its client: the generation must stop, just as it does
        when the answer's `body` is closed.

        Raises:
            UpstreamGone: Before anything was answered; the caller may try again. The `body` raises
                it too, when the replica dies while answering.
            UpstreamBusy: When no replica takes it.
        """
        ...
