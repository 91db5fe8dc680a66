"""One generation asked for over a client that many share: its events, its times, its failure.

It asks once. Whether a failure is worth another try is the caller's to know, who is told the
status and how long the endpoint wants to be left alone.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from llmops.errors import LlmopsError
from serving.client import refusals
from serving.client.endpoint import CONNECT, Endpoint, Reader
from serving.client.figures import Sample

DEADLINE = 600.0
"""Seconds for one answer, from the request to its last byte."""
RELEASE = "x-llmops-release"
"""Header in which our gateway says which release answered."""
LONGEST_WAIT = 300.0
"""Seconds of `retry-after` that are believed."""


class AskFailed(Exception):
    """A request that came to nothing: why, to count by, and as the error that it is alone."""

    def __init__(
        self, reason: str, error: LlmopsError, *, status: int = 0, retry_after: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.status = status
        """HTTP status; 0 when there was no answer, or it broke off."""
        self.retry_after = retry_after
        """Seconds that the endpoint asked to be left alone; 0 when it said none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole answer."""

    events: tuple[dict[str, Any], ...]
    """What the stream carried, without its end; empty where they were not kept."""
    sample: Sample | None
    """Its times and tokens; None when no token came, or the endpoint did not count them."""
    latency: float
    """Seconds to the stream's end."""
    release: int | None
    """Which release of the service answered; None where the endpoint does not say."""

    @property
    def text(self) -> str:
        """The text that was generated."""
        return "".join(_text(event) for event in self.events)

    @property
    def finish(self) -> str:
        """Why it ended, in the endpoint's word: `stop`, `length`; empty when it did not say."""
        said = [choice.get("finish_reason") for event in self.events for choice in _choices(event)]
        return next((str(reason) for reason in reversed(said) if reason), "")


def shared_client(endpoint: Endpoint, most: int) -> httpx.AsyncClient:
    """A client for at most so many requests at once to one endpoint."""
    return httpx.AsyncClient(
        trust_env=False,
        timeout=httpx.Timeout(DEADLINE, connect=CONNECT),
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
        verify=endpoint.line.verify,
    )


async def ask(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    path: str,
    body: dict[str, Any],
    *,
    keep: bool = True,
) -> Asked:
    """Ask once, and measure the answer.

    Args:
        client: From `shared_client`.
        endpoint: Whom to ask.
        path: Below the base URL, such as `completions`.
        body: The request; must ask for a stream.
        keep: Whether the events are wanted, and not the times alone.

    Raises:
        AskFailed: When there was no whole answer.
    """
    reader, clock = Reader(endpoint), _Clock()
    events: list[dict[str, Any]] | None = [] if keep else None
    status = wait = 0.0
    try:
        async with (
            asyncio.timeout(DEADLINE),
            client.stream(**endpoint.request(path, body)) as answer,
        ):
            status, wait = answer.status_code, _wait(answer)
            await _read(answer, reader, clock, events)
            said = answer.headers.get(RELEASE, "")
    except TimeoutError as error:
        raise AskFailed("no more came in time", reader.late()) from error
    except httpx.HTTPError as error:
        known = reader.unreachable(error)
        raise AskFailed(reader.reason, known) from error
    except LlmopsError as error:
        code = 0 if status == 200 else int(status)
        raise AskFailed(reader.reason, error, status=code, retry_after=wait) from error
    release = int(said) if said.isdigit() else None
    return Asked(tuple(events or ()), clock.sample(), clock.latency, release)


async def _read(
    answer: httpx.Response, reader: Reader, clock: _Clock, events: list[dict[str, Any]] | None
) -> None:
    if answer.status_code != 200:
        start = b""
        async for piece in answer.aiter_bytes():
            start += piece
            if len(start) >= refusals.MOST_BYTES:
                break
        raise reader.refusal(answer, start[: refusals.MOST_BYTES])
    reader.begin(answer)
    async for piece in answer.aiter_bytes():
        # On to the body's own end after the stream's, so that the connection is used again.
        if not reader.done:
            for document in reader.feed(piece):
                clock.take(document)
                if events is not None:
                    events.append(document)
            clock.ended()
    if not reader.done:
        raise reader.cut()


def _wait(answer: httpx.Response) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), LONGEST_WAIT) if said.isdigit() else 0.0


def _choices(event: dict[str, Any]) -> list[dict[str, Any]]:
    choices = event.get("choices")
    listed = choices if isinstance(choices, list) else []
    return [choice for choice in listed if isinstance(choice, dict)]


def _text(event: dict[str, Any]) -> str:
    for choice in _choices(event)[:1]:
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        return text if isinstance(text, str) else ""
    return ""


class _Clock:
    """When what came of one answer; begins when it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first: float | None = None
        self._last = 0.0
        self.latency = 0.0
        self._usage: dict[str, Any] = {}

    def take(self, document: dict[str, Any]) -> None:
        """Note an event: one with a choice carries a token, even where its text is empty."""
        now = time.perf_counter() - self._began
        if document.get("choices"):
            self._first = now if self._first is None else self._first
            self._last = now
        if isinstance(usage := document.get("usage"), dict):
            self._usage = usage

    def ended(self) -> None:
        """Note that this may have been the stream's end."""
        self.latency = time.perf_counter() - self._began

    def sample(self) -> Sample | None:
        """What was measured; None when no token came or none were counted."""
        prompt, output = (self._usage.get(f"{kind}_tokens") for kind in ("prompt", "completion"))
        if self._first is None or type(prompt) is not int or type(output) is not int:
            return None
        return Sample(self._first, self._last, self.latency, prompt, output)
