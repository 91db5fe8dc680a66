"""A gateway with a fake release behind it, and a driver that speaks ASGI to it as a server would.

`FakeUpstream` plays a release's replicas from a script and notes what reached it. It leaves out the
engine (no model: its tokens are the script's, and it refuses nothing on its own), Ray Serve (no
routing among replicas, no back pressure but the one it is told to play) and time.

`ask` plays an ASGI server, so it can send what no HTTP client would. Like a server in development
it answers an exception of the app with the traceback: that is what `quiet_errors` must prevent.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from serving.gateway import (
    OPERATOR,
    App,
    Audit,
    Book,
    Defences,
    GatewayConfig,
    Key,
    KeyRing,
    LocalLimiter,
    Metrics,
    ReleaseRef,
    UpstreamRequest,
    UpstreamResponse,
    create_key,
)

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
CANARY = "canary-7f3a91"
"""Stands for what must never be seen outside: a prompt, an inner detail."""
DEADLINE = 5.0
"""Seconds after which a test gives up waiting for what should happen at once."""

Headers = Iterable[tuple[str, str]]


class Forever:
    """A place in a script where nothing comes until the gateway stops asking."""


Piece = bytes | Exception | Forever


@dataclass
class Answer:
    """One scripted answer: its head, and its body piece by piece."""

    pieces: list[Piece]
    status: int = 200
    headers: list[tuple[str, str]] = field(
        default_factory=lambda: [("content-type", "application/json")]
    )


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def token(text: str = "tok") -> bytes:
    return event({"object": "chunk", "choices": [{"index": 0, "text": text}]})


def usage(prompt: int = 3, completion: int = 2) -> dict[str, int]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


USAGE_EVENT = event({"object": "chunk", "choices": [], "usage": usage()})
DONE = b"data: [DONE]\n\n"


def whole(text: str = "hello") -> Answer:
    body = {"choices": [{"index": 0, "text": text}], "model": "tiny", "usage": usage()}
    return Answer([json.dumps(body).encode()])


def streamed(*pieces: Piece) -> Answer:
    return Answer(list(pieces), headers=[("content-type", "text/event-stream; charset=utf-8")])


def refused(status: int, message: str, param: str | None = None) -> Answer:
    error = {"message": message, "type": "BadRequestError", "param": param, "code": status}
    return Answer([json.dumps({"error": error}).encode()], status=status)


class FakeUpstream:
    """Answers from a script, then with a whole answer or a stream, as it is asked."""

    def __init__(self, *script: Answer | Exception | Forever) -> None:
        self.script = deque(script)
        self.requests: list[tuple[ReleaseRef, UpstreamRequest]] = []
        self.reached = asyncio.Event()
        self.stopped = 0
        """Requests and bodies that were stopped before their end."""

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        self.requests.append((release, request))
        self.reached.set()
        answer = self.script.popleft() if self.script else self._default(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Forever):
            await self._hang()
            raise AssertionError("nobody ends this wait but by cancelling it")
        return UpstreamResponse(answer.status, answer.headers, self._body(answer.pieces))

    def _default(self, request: UpstreamRequest) -> Answer:
        streams = b'"stream": true' in request.body
        return streamed(token(), token(), USAGE_EVENT, DONE) if streams else whole()

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise

    async def _body(self, pieces: list[Piece]) -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, Forever):
                await self._hang()
            else:
                try:
                    yield piece
                except GeneratorExit:
                    self.stopped += 1
                    raise

    @property
    def body(self) -> dict[str, Any]:
        """The body of the last request that reached it."""
        found: dict[str, Any] = json.loads(self.requests[-1][1].body)
        return found


@dataclass
class Reply:
    """What the client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    """Whether the answer was ended."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of the answer; empty when it is none."""
        found: dict[str, Any] = self.json().get("error", {})
        return found

    @property
    def param(self) -> Any:
        """The field that the error names."""
        return self.error.get("param")

    @property
    def code(self) -> Any:
        """The error's code."""
        return self.error.get("code")

    @property
    def events(self) -> list[bytes]:
        return [part for part in self.body.split(b"\n\n") if part]


class Client:
    """One request's client side: what it sends, whether it hung up, what came back."""

    def __init__(self, chunks: Iterable[bytes], hangs_up_after: int | None) -> None:
        self._chunks = deque(chunks)
        self._left = hangs_up_after
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        if hangs_up_after == 0:
            self.gone.set()

    async def receive(self) -> dict[str, Any]:
        if self._chunks:
            chunk = self._chunks.popleft()
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))
        if self._left is not None and len(self.sent) >= self._left:
            self.gone.set()

    def reply(self) -> Reply:
        head: dict[str, Any] = self.sent[0] if self.sent else {"status": 0, "headers": []}
        parts = self.sent[1:]
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in head["headers"]}
        body = b"".join(part.get("body", b"") for part in parts)
        return Reply(head["status"], headers, body, bool(parts) and not parts[-1]["more_body"])


async def ask(
    app: App,
    method: str,
    path: str | bytes,
    *,
    headers: Iterable[tuple[str | bytes, str | bytes]] = (),
    chunks: Iterable[bytes] = (b"",),
    hangs_up_after: int | None = None,
    raw_path: bool = True,
) -> Reply:
    """Send one request.

    Args:
        hangs_up_after: Messages of the answer after which the client is gone; 0: it was never
            there once its body was sent.
        raw_path: Whether the server is one that passes the path as it was sent.
    """
    raw = path if isinstance(path, bytes) else path.encode("latin-1")
    target, _, query = raw.partition(b"?")
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": unquote(target.decode("latin-1")),
        "query_string": query,
        "headers": [(_bytes(k), _bytes(v)) for k, v in headers],
    }
    if raw_path:
        scope["raw_path"] = target
    client = Client(chunks, hangs_up_after)
    try:
        async with asyncio.timeout(DEADLINE):
            await app(scope, client.receive, client.send)
    except Exception:  # noqa: BLE001 - a server catches whatever an app raises
        shown = traceback.format_exc().encode()
        return Reply(500, {"content-type": "text/plain"}, shown, whole=True)
    return client.reply()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


LIMITS = {"requests_per_minute": 600, "max_body": 65536, "max_tokens": 100, "max_choices": 4}


def table(services: Iterable[str], limits: dict[str, Any] | None = None) -> GatewayConfig:
    """A routing table: release 3 of each service serves, release 4 is staged beside it."""
    entry = {
        "releases": [{"release": 3, "share": 100}, {"release": 4, "share": 0}],
        "limits": LIMITS | (limits or {}),
        "context": 2048,
    }
    return GatewayConfig.parse(
        {"generation": 1, "keys_version": "1", "services": dict.fromkeys(services, entry)}
    )


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """An app of two services, `tiny` and `other`, with a key for each and the operator's."""

    def __init__(
        self,
        home: Path,
        upstream: FakeUpstream | None = None,
        *,
        defences: Defences | None = None,
        body_deadline: float = DEADLINE,
        secret: bytes | None = None,
        **limits: Any,
    ) -> None:
        self.keys_file = home / "keys.json"
        _, self.key = create_key(self.keys_file, "tiny", "team-a")
        _, self.other_key = create_key(self.keys_file, "other", "team-b")
        _, self.operator_key = create_key(self.keys_file, "tiny", OPERATOR)
        self.upstream = upstream or FakeUpstream()
        self.metrics = Metrics()
        self.audit_file = home / "logs" / "audit.jsonl"
        self.unknown_file = home / "logs" / "audit.unknown.jsonl"
        self.audit = Audit(self.audit_file)
        self.keyring = KeyRing(self.keys_file)
        self.clock = Clock()
        self.book = Book()
        self.app = App(
            table(("tiny", "other"), limits),
            self.keyring,
            self.upstream,
            metrics=self.metrics,
            audit=self.audit,
            clock=self.clock,
            elapsed=self.clock,
            defences=defences,
            body_deadline=body_deadline,
            limiter=LocalLimiter(self.book, self.clock),
            secret=secret,
        )

    async def ask(
        self,
        method: str,
        path: str | bytes,
        *,
        key: str | None = None,
        headers: Iterable[tuple[str | bytes, str | bytes]] = (),
        **options: Any,
    ) -> Reply:
        """Send one request with a valid key, or with `key`; an empty one sends none."""
        text = self.key if key is None else key
        bearer = [("authorization", f"Bearer {text}")] if text else []
        return await ask(self.app, method, path, headers=[*bearer, *headers], **options)

    async def complete(
        self, *, key: str | None = None, path: str = COMPLETIONS, body: Any = None, **options: Any
    ) -> Reply:
        """Ask for a generation; `body` is merged over the least that is needed."""
        least = {"prompt": "hi"} if path == COMPLETIONS else {"messages": [message("hi")]}
        document = {"model": "tiny", **least, **(body or {})}
        chunks = options.pop("chunks", [json.dumps(document).encode()])
        return await self.ask("POST", path, key=key, chunks=chunks, **options)

    def make_key(self, service: str, name: str) -> tuple[Key, str]:
        """One more key, which the app knows at once."""
        made = create_key(self.keys_file, service, name)
        self.app.reload_keys()
        return made

    def lines(self, *, unknown: bool = False) -> list[dict[str, Any]]:
        """The audit lines that were written."""
        file = self.unknown_file if unknown else self.audit_file
        return [json.loads(line) for line in file.read_text().splitlines()]

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value; 0 when it was never counted. The model is the service, where none is
        said."""
        if {"service", "release", "key"} <= labels.keys():
            labels = {"model": labels["service"]} | labels
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def message(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}
