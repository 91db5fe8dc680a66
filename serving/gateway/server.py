"""How uvicorn must serve the gateway: bounded heads, no WebSocket, and nobody holds a line forever.

The app bounds a request once its head is there. What comes before is the server's, and uvicorn's
defaults leave it open: its faster parser (httptools) keeps heads and trailers of any size, and
neither parser minds a head that never ends or a refused body that trickles on. All of that is
before any key was seen. So the parser is h11, which bounds a head and refuses two lengths, and a
connection whose turn it is to speak has a deadline.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD = 65536
"""Bytes of a request's head."""
HEAD_DEADLINE = 15.0
"""Seconds for a head to be complete, and for the rest of a body that was answered already."""
KEEP_ALIVE = 75
"""Seconds that a connection may stay idle between two requests."""


class Impatient(H11Protocol):
    """One connection; closed when its client keeps us waiting for what cannot be answered yet."""

    deadline = HEAD_DEADLINE
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait on when they do not complete what was begun."""
        super().data_received(data)
        if self._owes():
            self._wait()
        else:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """The rest of a body that nobody reads any more must come in time, too."""
        super().on_response_complete()
        if self._owes() and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _owes(self) -> bool:
        """Whether the client has begun something that only it can end."""
        state = self.conn.their_state
        if state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return state is h11.SEND_BODY and self.cycle.response_complete

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.deadline, self._close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        self.transport.close()


def server_config(app: Any, *, head_deadline: float = HEAD_DEADLINE) -> uvicorn.Config:
    """Configuration of the server that hosts `app`; sockets and logs are the caller's.

    Args:
        app: The gateway, or the metrics beside it.
        head_deadline: Seconds; another value is for tests.
    """
    protocol = type("Connection", (Impatient,), {"deadline": head_deadline})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
