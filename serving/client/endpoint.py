"""An endpoint that speaks OpenAI's API, and a chat with it.

An answer is whole or an error: a stream that stops without `data: [DONE]` is never passed off as
complete. No proxy of the environment is used, since it would see the key and cannot reach
loopback, and no redirect is followed, since the key is for this endpoint only.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx

from llmops.errors import InputError, LlmopsError, TargetError
from serving.client import refusals, sse
from serving.client.line import DIRECT, Line

CONNECT = 10.0
"""Seconds to be connected."""
SILENCE = 300.0
"""Seconds without a byte, after which an answer is given up: a long prompt on a CPU takes some."""
DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask, as whom, and for which model."""

    url: str
    """The base, which ends in `/v1`."""
    key: str = field(repr=False)
    model: str
    """The service's name: what a request's `model` says."""
    line: Line = DIRECT
    """How it is reached."""

    def __post_init__(self) -> None:
        if not (self.key.isascii() and self.key.isprintable() and self.key.strip()):
            raise InputError(
                "the key is no text that a header can carry",
                hint=f"make a key with `llmops keys create {self.model}`",
            )
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise InputError(f"the endpoint's URL cannot be read: {error}") from error
        if url.userinfo:
            raise InputError("the endpoint's URL must not carry a user or a password")
        if url.scheme not in ("http", "https") or not url.host or not url.path.endswith("/v1"):
            raise InputError(
                f"the endpoint's URL must be http(s)://HOST[:PORT]/v1, found {self.url!r}"
            )

    def chat(
        self,
        messages: list[dict[str, str]],
        *,
        max_tokens: int | None,
        temperature: float | None,
        seed: int | None = None,
    ) -> Generator[str, None, None]:
        """Ask for the next message; yields its text piece by piece as it is generated.

        Nothing is sent before the first piece is asked for. Closing the iterator hangs up, which
        stops the generation. What is None is left to the service.

        Args:
            messages: The conversation: `role` and `content` of each.
            max_tokens: Tokens of the answer, at most.
            temperature: 0 is greedy.
            seed: For sampling; the same request with the same seed samples alike.

        Raises:
            InputError: When the key, the model or the request is refused.
            TargetError: When nobody answers, or the answer is not a whole one.
        """
        options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        body = {
            "model": self.model,
            "messages": messages,
            "stream": True,
            **{name: value for name, value in options.items() if value is not None},
        }
        with closing(self._documents("chat/completions", body)) as documents:
            for document in documents:
                if text := _delta(document):
                    yield text

    def request(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A POST as httpx takes it, by keyword; its headers hold the key."""
        return {
            "method": "POST",
            "url": f"{self.url}/{path}",
            # All of it ASCII: what a terminal could not decode has no UTF-8.
            "content": json.dumps(body).encode(),
            "headers": {**self.line.carry(self.key), "content-type": "application/json"},
            "extensions": self.line.extensions,
        }

    def _documents(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        reader = Reader(self)
        timeout = httpx.Timeout(SILENCE, connect=CONNECT)
        try:
            with (
                httpx.Client(trust_env=False, timeout=timeout, verify=self.line.verify) as client,
                client.stream(**self.request(path, body)) as answer,
            ):
                if answer.status_code != 200:
                    raise reader.refusal(answer, _start(answer))
                reader.begin(answer)
                for piece in answer.iter_bytes():
                    yield from reader.feed(piece)
                    if reader.done:
                        return
        except httpx.HTTPError as error:
            raise reader.unreachable(error) from error
        raise reader.cut()


class Reader:
    """One streamed answer of an endpoint: its events as documents, its failures as errors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._parser = sse.Parser()
        self._request = ""
        self._begun = False
        self.done = False
        """Whether the stream has come to its own end."""
        self.reason = ""
        """What went wrong, in few words that are the same each time, to count by."""

    def begin(self, answer: httpx.Response) -> None:
        """Note that the answer has begun, and the request's id."""
        self._begun = True
        self._request = answer.headers.get("x-request-id", "")

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The events that `piece` completes, up to the stream's end.

        Raises:
            TargetError: When the endpoint says that it failed, or an event is none.
        """
        try:
            events = self._parser.feed(piece)
        except sse.TooLong as error:
            raise self._broken(f"an event has more than {sse.MOST_BYTES} bytes") from error
        for event in events:
            if event == DONE:
                self.done = True
                return
            yield self._document(event)

    def _document(self, event: str) -> dict[str, Any]:
        try:
            document = json.loads(event)
        except (ValueError, RecursionError) as error:
            raise self._broken("an event is not JSON") from error
        if not isinstance(document, dict):
            raise self._broken("an event is no JSON object")
        if document.get("error"):
            said = refusals.read(document, self._endpoint.key, request=self._request)
            self.reason = f"error event {said.code}".strip()
            raise refusals.failed_midway(said, self._endpoint.model)
        return document

    def refusal(self, answer: httpx.Response, body: bytes) -> LlmopsError:
        """The error that an answer without a stream is."""
        said = refusals.read_body(
            body,
            self._endpoint.key,
            request=answer.headers.get("x-request-id", ""),
            retry_after=answer.headers.get("retry-after", ""),
        )
        self.reason = f"HTTP {answer.status_code} {said.code}".strip()
        return refusals.as_error(answer.status_code, said, self._endpoint.model)

    def cut(self) -> TargetError:
        """The error for a stream that stopped without its end."""
        return self._broken("the stream stopped before its end")

    def late(self) -> TargetError:
        """The error for an answer that was waited for too long."""
        return self._broken("no more came in time")

    def unreachable(self, error: httpx.HTTPError) -> TargetError:
        """The error for an endpoint that cannot be reached, or went away while it answered."""
        if isinstance(error, httpx.ReadTimeout):
            return self.late()
        if self._begun:
            return self.cut()
        self.reason = "nobody answers"
        what = refusals.read(str(error) or type(error).__name__, self._endpoint.key).message
        return TargetError(
            f"nobody answers at {self._endpoint.url}: {what}",
            hint=f"see `llmops status {self._endpoint.model}`",
        )

    def _broken(self, what: str) -> TargetError:
        self.reason = what
        said = refusals.read(what, self._endpoint.key, request=self._request)
        return refusals.failed_midway(said, self._endpoint.model)


class Chat:
    """A conversation: it remembers what was said, and only what was said to its end."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        system: str = "",
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> None:
        """Begin; the options are those of `Endpoint.chat`, `system` is the first message's."""
        self.endpoint = endpoint
        self.messages: list[dict[str, str]] = []
        """What the next question is sent with: `role` and `content` of each."""
        if system:
            self.messages.append({"role": "system", "content": system})
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._seed = seed

    def say(self, text: str) -> Iterator[str]:
        """Say `text`; yields the answer's pieces.

        A turn that fails or is left before its end is forgotten, so that it can be said again.

        Raises:
            InputError, TargetError: As `Endpoint.chat` does.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        pieces = []
        for piece in self.endpoint.chat(
            asked, max_tokens=self._max_tokens, temperature=self._temperature, seed=self._seed
        ):
            pieces.append(piece)
            yield piece
        self.messages = [*asked, {"role": "assistant", "content": "".join(pieces)}]


def _start(answer: httpx.Response) -> bytes:
    """The first `refusals.MOST_BYTES` of a body."""
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) >= refusals.MOST_BYTES:
            break
    return body[: refusals.MOST_BYTES]


def _delta(document: dict[str, Any]) -> str:
    """The text of a chat's event; empty for the first, for usage and for other kinds."""
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    delta = choice.get("delta") if isinstance(choice, dict) else None
    text = delta.get("content") if isinstance(delta, dict) else None
    return text if isinstance(text, str) else ""
