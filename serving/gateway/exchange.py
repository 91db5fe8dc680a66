"""One request and its answer: reading what came in, relaying what comes out, counting both."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar

from serving.gateway import answers
from serving.gateway.answers import Refusal
from serving.gateway.events import Events, is_truncated, parsed, read_usage, says
from serving.gateway.keys import Key
from serving.gateway.limiter import Ask, Tokens
from serving.gateway.tally import Tally
from serving.gateway.upstream import Headers, ReleaseRef, UpstreamGone, UpstreamResponse

T = TypeVar("T")

PASSED_ON = frozenset({"content-type", "retry-after"})
"""Headers of the engine's answer that reach the client."""

STREAM = "text/event-stream; charset=utf-8"
MODELS = "/v1/models/"
METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer of which something has come: the head, the first bytes, and the rest."""

    status: int
    headers: Headers
    first: bytes
    rest: AsyncGenerator[bytes, None]


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
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        self.path = raw.split(b"?", 1)[0].decode("latin-1")
        self.headers: list[tuple[bytes, bytes]] = [(k.lower(), v) for k, v in scope["headers"]]
        self.key: Key | None = None
        self.service: str | None = None
        self.model = ""
        """The adapter's name that was asked for; empty for the service's own."""
        self.release: ReleaseRef | None = None
        self.status = 0
        self.cut: int | None = None
        """Status that a stream would have had, had it been known when it began."""
        self.reason = "ok"
        self.failure: str | None = None
        self.tally = Tally()
        self.ask: Ask | None = None
        """What its key's limits are counted by, from when it was let in until it is settled."""
        self.most = Tokens()
        """Tokens that it can take at most."""
        self.asked = False
        """Whether an engine was asked."""
        self.streams = False
        """Whether a stream was asked for."""
        self.told: tuple[tuple[str, str], ...] = ()
        """How its key stands with its limits, as headers."""
        self.held = False
        """Whether it waited for a replica to start."""
        self._opened = False
        """Whether a stream was begun of which nothing has come yet."""
        self.named = False
        """Whether the request itself says which release is to answer."""
        self.likeness = ""
        """Digest of what it asks; empty for one that is never suspected."""
        self.suspected = False
        """Whether its like was in flight when an engine died."""
        self.died = ""
        """Which death of an engine has ended its answer."""
        self.session = ""
        """What its session is known by, where its service keeps sessions together."""
        self.closing = False
        """Whether the client is told to connect anew for its next request."""
        self._receive = receive
        self._send = send
        self._now = now
        self._began = time.monotonic()
        self._disconnect: asyncio.Task[None] | None = None

    def shadow(self, release: ReleaseRef, now: float) -> Exchange:
        """The same request for another release, from the same moment on: its client never hangs
        up, and hears nothing."""
        scope = {"type": "http", "method": self.method, "path": self.path, "headers": []}
        made = Exchange(scope, _silence, _nobody, f"{self.id}-shadow", now)
        made.key, made.service, made.session = self.key, self.service, self.session
        made.release, made.model, made._began = release, self.model, self._began
        return made

    def header(self, name: bytes) -> list[bytes]:
        """Every value that was sent under `name`."""
        return [value for key, value in self.headers if key == name]

    async def read(self, limit: int, seconds: float) -> bytes:
        """The body, of at most `limit` bytes, arrived within `seconds`.

        Raises:
            Refusal: 400, 413 or 408, as soon as it is known.
        """
        too_large = Refusal(413, "body_too_large", f"the body may have at most {limit} bytes")
        if self.ambiguous:
            raise Refusal(400, "ambiguous_length", "the body's length must be stated once")
        declared = (self.header(b"content-length") or [b"0"])[0]
        if len(declared) > len(str(limit)) or int(declared) > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise answers.client_gone()
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError as error:
            raise Refusal(
                408,
                "body_timeout",
                "the body did not arrive in time",
                headers=(("connection", "close"),),
            ) from error

    @property
    def ambiguous(self) -> bool:
        """Whether two servers in a row could read the body's length in two ways. Whatever such a
        request is answered, its connection ends: what follows may be a part of it (RFC 9112, 6.1).
        """
        lengths = self.header(b"content-length")
        chunked = self.header(b"transfer-encoding")
        return len(set(lengths)) > 1 or bool(lengths and (chunked or not lengths[0].isdigit()))

    # The answer

    async def reply(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole JSON answer."""
        await self._head(status, [("content-type", "application/json"), *(headers or [])], body)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, unless the answer has begun or nobody is there."""
        self.reason = refusal.reason
        if self._opened and refusal.status != 499:
            await self._tell_cut(refusal)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if refusal.status == 499 or self.status:
            self.status = self.status or 499
            return
        await self.reply(refusal.status, refusal.body(), list(refusal.headers))

    async def comment(self, text: str) -> None:
        """Send a line that clients of a stream skip; begins the stream, if nothing has yet.

        From then on a refusal can only be told inside of the stream.
        """
        if not self._opened:
            self._opened = True
            await self._head(200, [("content-type", STREAM), ("cache-control", "no-store")], None)
        await self._pass(f": {text}\n\n".encode())

    async def _head(self, status: int, headers: Headers, body: bytes | None) -> None:
        """Send the head; with a whole `body`, the answer ends here too."""
        self.status = status
        named = [*headers, *self.told, ("x-request-id", self.id)]
        if self.release is not None:
            named.append(("x-llmops-release", str(self.release.number)))
        if body is not None:
            named.append(("content-length", str(len(body))))
        if self.closing and not any(name.lower() == "connection" for name, _ in headers):
            named.append(("connection", "close"))
        raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in named]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if body is not None:
            sent = b"" if self.method == "HEAD" else body
            await self._send({"type": "http.response.body", "body": sent, "more_body": False})

    async def begin(self, answer: UpstreamResponse, *, stream: bool) -> Begun:
        """Wait for the first bytes of a stream, or for all of anything else.

        Until this returns nothing has been answered, so the request may still go to another
        replica.

        Raises:
            UpstreamGone: When the replica died before that.
            Refusal: 499, after the upstream was told to stop.
        """
        pieces = self._pieces(answer.body)
        if stream and answer.status == 200:
            first = await anext(pieces, b"")
            self.tally.ttft = time.monotonic() - self._began
        else:
            first = b"".join([piece async for piece in pieces])
        return Begun(answer.status, answer.headers, first, pieces)

    async def relay(
        self, begun: Begun, *, stream: bool, wants_usage: bool, wants_each: bool = False
    ) -> None:
        """Pass an upstream's answer on, counting its tokens; stop it when the client hangs up.

        Raises:
            Refusal: When the engine refused or failed before anything was passed on.
        """
        async with contextlib.aclosing(begun.rest):
            kept = [(k, v) for k, v in begun.headers if k.lower() in PASSED_ON]
            if begun.status != 200:
                refusal = answers.from_engine(begun.status, parsed(begun.first))
                refusal.headers = tuple(h for h in kept if h[0].lower() == "retry-after")
                raise refusal
            if stream:
                events = Events(wants_usage=wants_usage, wants_each=wants_each)
                await self._relay_stream(begun, kept, events)
                return
            document = parsed(begun.first)
            self.tally.empty, self.tally.truncated = not says(document), is_truncated(document)
            usage = read_usage(document)
            if usage is None:
                self.failure = "no usage"
            else:
                self.tally.count(usage)
            await self._head(200, kept, begun.first)

    async def _relay_stream(self, begun: Begun, kept: Headers, events: Events) -> None:
        first = events.feed(begun.first)
        if events.error is not None and not first:
            raise events.error
        if not begun.first:
            raise answers.stream_cut()
        if not self._opened:
            await self._head(200, [*kept, ("cache-control", "no-store")], None)
        self._opened = False  # from here on its end is told where it is relayed
        last = self._began + (self.tally.ttft or 0.0)
        try:
            await self._pass(first)
            with contextlib.suppress(UpstreamGone):
                async for piece in begun.rest:
                    last = time.monotonic()
                    await self._pass(events.feed(piece))
                    if events.error is not None:
                        break
                    if self._gone and not events.done:  # also where the engine never lets us wait
                        raise answers.client_gone()
            if not events.done:
                await self._tell_cut(events.error or answers.stream_cut())
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._count(events, last)

    async def _tell_cut(self, refusal: Refusal) -> None:
        self.reason, self.cut = refusal.reason, refusal.status
        await self._pass(b"data: " + refusal.body(self.id) + b"\n\n")

    def _count(self, events: Events, last: float) -> None:
        tally = self.tally
        tally.empty, tally.truncated = events.done and not events.said, events.truncated
        if events.usage is not None:
            tally.count(events.usage)
        else:
            # Cut or left before the engine counted: at least a token came with each event.
            tally.completion_tokens = events.tokens
            self.failure = "no usage"
        if tally.ttft is not None and tally.completion_tokens > 1:
            tally.tpot = (last - self._began - tally.ttft) / (tally.completion_tokens - 1)

    async def _pass(self, chunk: bytes) -> None:
        if chunk:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    # The client that may hang up

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What `work` gives; it is cancelled at once when the client hangs up.

        Raises:
            Refusal: 499, after `work` was told to stop.
            UpstreamGone: When `work` was cancelled by somebody else.
        """
        task = asyncio.ensure_future(work)
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(self._wait_for_disconnect())
        try:
            await asyncio.wait({task, self._disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise answers.client_gone()
            if task.cancelled():
                raise UpstreamGone("the request was cancelled behind the gateway")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    @property
    def _gone(self) -> bool:
        return self._disconnect is not None and self._disconnect.done()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _pieces(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                try:
                    piece = await self.unless_gone(anext(body))
                except StopAsyncIteration:
                    return
                except UpstreamGone as gone:
                    self.died = gone.died
                    raise
                yield piece
        finally:
            await body.aclose()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop listening for the client."""
        if self._disconnect is not None:
            self._disconnect.cancel()

    def line(self, now: float) -> dict[str, Any]:
        """The audit line: who, what, and what was decided. Nothing in it is the client's text."""
        tally = self.tally
        return {
            "request": self.id,
            "method": self.method if self.method in METHODS else "other",
            "route": _route(self.path),
            "status": self.status,
            "reason": self.reason,
            "key": self.key.name if self.key else None,
            "key_id": self.key.id if self.key else None,
            "service": self.service,
            "model": self.model or None,
            "release": self.release.number if self.release else None,
            "prompt_tokens": tally.prompt_tokens or None,
            "completion_tokens": tally.completion_tokens or None,
            "seconds": round(now - self._now, 4),
            "failure": self.failure,
            "fingerprint": self.likeness if self.suspected else None,
        }


async def _silence() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    return {}


async def _nobody(_: MutableMapping[str, Any]) -> None:
    """Takes what is sent, and does nothing with it."""


def _route(path: str) -> str:
    if path in ("/health", "/v1/models", "/v1/chat/completions", "/v1/completions"):
        return path
    return f"{MODELS}*" if path.startswith(MODELS) else "other"


__all__ = ["METHODS", "MODELS", "Begun", "Exchange"]
