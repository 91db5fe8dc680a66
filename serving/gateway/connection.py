"""One connection of the gateway's server: its client may not keep us waiting for what it owes.

Apart from `server`, because it needs uvicorn when it is defined, and most commands need none.
"""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Impatient(H11Protocol):
    """One connection; closed when its client keeps us waiting for what cannot be answered yet."""

    deadline: float
    """Seconds for a head to be complete, and for the rest of a body that was answered already."""
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        # asyncio does this for sockets whose protocol is named only. Without it every answer's body
        # waits 40 ms for the client to acknowledge its head.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
