"""Drive an ASGI app in this process: a request in, the answer's pieces out as they come.

The pieces are what travels over a Serve handle, so they are plain: first a head, then `bytes`. What
is ready together leaves together, with its head too: a piece that travels costs the same, whatever
it holds. Nothing is held back for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
Head = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, and as much of the body as was there with them."""


def _scope(method: str, path: str, headers: list[tuple[str, str]]) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers],
        "client": None,
        "server": None,
        "state": {},
    }


class _Pieces:
    """What the app has sent and nobody has taken yet."""

    def __init__(self) -> None:
        self._head: tuple[int, list[tuple[str, str]]] | None = None
        self._body: list[bytes] = []
        self._news = asyncio.Event()
        self._ended = False

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._head = status, headers
        self._news.set()

    def put(self, chunk: bytes) -> None:
        self._body.append(chunk)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def take(self) -> Head | bytes | None:
        """All that is there: with the head, or bytes of the body; None after the last."""
        while self._head is None and not self._body:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        head, ready = self._head, b"".join(self._body)
        self._head = None
        self._body.clear()
        return ready if head is None else (*head, ready)


async def call(
    app: App, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> AsyncGenerator[Head | bytes, None]:
    """Send one request to `app`; yields the head, then the rest of the body in pieces.

    Closing the generator tells the app that its client has gone, and waits for it to end.
    """
    pieces = _Pieces()
    gone = asyncio.Event()
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        for request in requests:
            return request
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            head = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]]
            pieces.begin(message["status"], head)
        elif chunk := message.get("body"):
            pieces.put(bytes(chunk))

    async def run() -> None:
        try:
            await app(_scope(method, path, headers), receive, send)
        finally:
            pieces.end()

    task = asyncio.create_task(run())
    try:
        while (piece := await pieces.take()) is not None:
            yield piece
        await task
    finally:
        gone.set()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
