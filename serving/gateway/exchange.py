"""One request and its answer: reading what came in, relaying what comes out, counting both."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from serving.gateway import answers
from serving.gateway.answers import Refusal
from serving.gateway.keys import Key
from serving.gateway.upstream import ReleaseRef, UpstreamGone, UpstreamResponse

PASSED_ON = frozenset({"content-type", "retry-after"})
"""Headers of the engine's answer that reach the client."""

USAGE = b'"usage":{'
EMPTY_CHOICES = b'"choices":[]'
DONE = b"data: [DONE]"


@dataclass(slots=True)
class Tally:
    """Tokens and times of one answer, in seconds."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    ttft: float | None = None
    tpot: float | None = None


class Exchange:
    """A request as the app sees it. Its path is the raw one, as the client sent it."""

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
        identifier: str,
        now: float,
    ) -> None:
        self.id = identifier
        self.method: str = scope["method"]
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        self.path = raw.split(b"?", 1)[0].decode("latin-1")
        self.route = self.path if self.path.startswith(("/v1/", "/health")) else "other"
        self.headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.key: Key | None = None
        self.service: str | None = None
        self.release: ReleaseRef | None = None
        self.status = 0
        self.reason = "ok"
        self.failure: str | None = None
        self.tally = Tally()
        self._receive = receive
        self._send = send
        self._now = now
        self._began = time.monotonic()
        self._disconnect: asyncio.Task[None] | None = None

    async def read(self, limit: int, seconds: float) -> bytes:
        """The body, of at most `limit` bytes, arrived within `seconds`.

        Raises:
            Refusal: 413 or 408, as soon as it is known.
        """
        too_large = Refusal(413, "body_too_large", f"the body may have at most {limit} bytes")
        declared = next((v for k, v in self.headers if k == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(499, "client_gone", "the client hung up")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError as error:
            raise Refusal(408, "body_timeout", "the body did not arrive in time") from error

    def hung_up(self) -> asyncio.Task[None]:
        """A task that ends when the client has hung up."""
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(self._wait_for_disconnect())
        return self._disconnect

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reply(
        self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a whole JSON answer."""
        await self._head(status, [("content-type", "application/json"), *headers], len(body))
        sent = b"" if self.method == "HEAD" else body
        await self._send({"type": "http.response.body", "body": sent, "more_body": False})
        self._stop_listening()

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, unless the answer has begun or nobody is there."""
        self.reason = refusal.reason
        if refusal.status == 499 or self.status:
            self.status = self.status or 499
            self._stop_listening()
            return
        await self.reply(refusal.status, refusal.body(), refusal.headers)

    async def _head(self, status: int, headers: list[tuple[str, str]], length: int | None) -> None:
        self.status = status
        named = [*headers, ("x-request-id", self.id)]
        if self.release is not None:
            named.append(("x-llmops-release", str(self.release.number)))
        if length is not None:
            named.append(("content-length", str(length)))
        raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in named]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def relay(
        self, answer: UpstreamResponse, release: ReleaseRef, *, stream: bool, wants_usage: bool
    ) -> None:
        """Pass an upstream's answer on, counting its tokens; stop it when the client hangs up."""
        self.release = release
        if answer.status >= 400:
            await self._relay_refusal(answer)
            return
        kept = [(k, v) for k, v in answer.headers if k.lower() in PASSED_ON]
        if not stream:
            body = b"".join([piece async for piece in self._pieces(answer.body)])
            self._count_usage(body)
            await self._head(answer.status, kept, len(body))
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await self._head(answer.status, [*kept, ("cache-control", "no-store")], None)
        await self._relay_stream(answer.body, wants_usage)

    async def _relay_refusal(self, answer: UpstreamResponse) -> None:
        body = b"".join([piece async for piece in self._pieces(answer.body)])
        self.reason = "engine_refused"
        if answer.status >= 500:
            raise Refusal(502, "engine_failed", "the engine failed", kind="server_error")
        message = "the engine refused the request"
        try:
            document = json.loads(body)
            message = str((document.get("error") or document)["message"])[:1000]
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # not in a known shape: the general message stays
        raise Refusal(answer.status, "engine_refused", message)

    async def _relay_stream(self, body: AsyncIterator[bytes], wants_usage: bool) -> None:
        last = 0.0
        pending = b""
        try:
            async for piece in self._pieces(body):
                last = time.monotonic()
                if self.tally.ttft is None:
                    self.tally.ttft = last - self._began
                # Only whole events are looked at; an event's end is the empty line.
                pending += piece
                whole, separator, pending = pending.rpartition(b"\n\n")
                if separator:
                    await self._pass(self._without_usage(whole + separator, wants_usage))
            await self._pass(pending)
        except UpstreamGone:
            self.reason = "stream_cut"
            error = Refusal(
                502, "stream_cut", "the model's replica died while answering", kind="server_error"
            )
            await self._pass(b"data: " + error.body() + b"\n\n")
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        generated = self.tally.completion_tokens
        if self.tally.ttft is not None and generated > 1:
            self.tally.tpot = (last - self._began - self.tally.ttft) / (generated - 1)

    async def _pass(self, chunk: bytes) -> None:
        if chunk:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def _without_usage(self, events: bytes, wanted: bool) -> bytes:
        """Count the usage event when it comes; leave it out when the client did not ask for it."""
        if USAGE not in events:
            return events
        kept = []
        for event in events.split(b"\n\n"):
            if USAGE in event and EMPTY_CHOICES in event:
                self._count_usage(event.removeprefix(b"data: "))
                if not wanted:
                    continue
            kept.append(event)
        return b"\n\n".join(kept)

    def _count_usage(self, document: bytes) -> None:
        try:
            usage = json.loads(document)["usage"]
            self.tally.prompt_tokens = int(usage["prompt_tokens"])
            self.tally.completion_tokens = int(usage.get("completion_tokens") or 0)
        except (ValueError, KeyError, TypeError):
            self.failure = "no usage"

    async def _pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body's pieces until it ends, or until the client hangs up.

        Raises:
            Refusal: 499, after the upstream was told to stop.
        """
        hung_up = self.hung_up()
        taking: asyncio.Future[bytes] | None = None
        try:
            while True:
                taking = asyncio.ensure_future(anext(body))
                await asyncio.wait({taking, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    raise Refusal(499, "client_gone", "the client hung up")
                try:
                    piece = taking.result()
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            if taking is not None and not taking.done():
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
            await body.aclose()  # type: ignore[attr-defined]
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._disconnect is not None:
            self._disconnect.cancel()

    def line(self, now: float) -> dict[str, Any]:
        """The audit line: who, what, and what was decided."""
        tally = self.tally
        return {
            "request": self.id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "reason": self.reason,
            "key": self.key.name if self.key else None,
            "key_id": self.key.id if self.key else None,
            "service": self.service,
            "release": self.release.number if self.release else None,
            "prompt_tokens": tally.prompt_tokens or None,
            "completion_tokens": tally.completion_tokens or None,
            "seconds": round(now - self._now, 4),
            "failure": self.failure,
        }


__all__ = ["Exchange", "Tally", "answers"]
