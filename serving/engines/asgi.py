"""Drive an ASGI app in this process: a request in, the answer's pieces out as they come.

The pieces are what travels over a Serve handle, so they are plain: first `(status, headers)`, then
`bytes`. Pieces that are ready together leave together: that keeps the cost per token low under
load, and holds nothing back when there is no load.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
Head = tuple[int, list[tuple[str, str]]]


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
        self._waiting: deque[Head | bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def put(self, piece: Head | bytes) -> None:
        self._waiting.append(piece)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def take(self) -> Head | bytes | None:
        """The head, or all body bytes that are there; None after the last."""
        while not self._waiting:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        first = self._waiting.popleft()
        if not isinstance(first, bytes) or not self._waiting:
            return first
        ready = [first]
        while self._waiting and isinstance(self._waiting[0], bytes):
            ready.append(self._waiting.popleft())  # type: ignore[arg-type]
        return b"".join(ready)


async def call(
    app: App, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> AsyncGenerator[Head | bytes, None]:
    """Send one request to `app`; yields the head, then the body in pieces.

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
            pieces.put((message["status"], head))
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
