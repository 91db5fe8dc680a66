"""One connection of the gateway's server: its client may not keep us waiting for what it owes.

What is no HTTP is answered as everything else is, once at most, and told to no log: whoever has no
key could fill it. Apart from `server`, because it needs uvicorn when it is defined, and most
commands need none.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import secrets
import socket
import sys
import termios
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.gateway.answers import Refusal, bad, too_many_lines
from serving.gateway.lines import Lines

UNREAD = 1.0
"""Seconds more for a client whose bytes had come by its deadline, and were not read yet."""

log = logging.getLogger("uvicorn.error.connection")
log.setLevel(logging.ERROR)  # what uvicorn warns of is what clients send


class Impatient(H11Protocol):
    """One connection; closed when its client keeps us waiting for what cannot be answered yet."""

    deadline: float
    """Seconds for a head to be complete, and for the rest of a body that was answered already."""
    stall: float
    """Seconds for a client to take in what fills the buffers between us."""
    lines: Lines
    """All connections of its server."""
    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head; hang up where there are too many."""
        super().connection_made(transport)
        self.logger = log
        # asyncio does this for sockets whose protocol is named only. Without it every answer's body
        # waits 40 ms for the client to acknowledge its head.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.lines.admit(self):
            self._wait()
        else:
            self._refuse(too_many_lines())
            transport.close()

    @property
    def at_work(self) -> bool:
        """Whether it has a request that is not answered whole."""
        # uvicorn's type leaves out that there is none before the first head.
        return not getattr(self.cycle, "response_complete", True)

    def give_way(self) -> None:
        """Close, for another to have its place."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait on when they do not complete what was begun."""
        if self.transport.is_closing():
            return  # it was refused, or has given way: what still came is nobody's
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

    def pause_writing(self) -> None:
        """The client does not take in what it asked for; its answer waits, but not forever."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for all of it
        """Answer what is no HTTP, unless an answer has begun; hang up.

        A request whose body turns out to be none has lost its client: the app is told so, and what
        it still answers goes nowhere.
        """
        asked = self.conn.our_state is not h11.IDLE
        if not asked or self.conn.our_state is h11.SEND_RESPONSE:
            self._refuse(bad("this is not valid HTTP", reason="invalid_http"))
        if asked and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        headers = [
            *refusal.headers,
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", f"req-{secrets.token_hex(12)}"),
            ("connection", "close"),
        ]
        reason = HTTPStatus(refusal.status).phrase.encode()
        answer = h11.Response(status_code=refusal.status, headers=headers, reason=reason)
        events = (answer, h11.Data(data=body), h11.EndOfMessage())
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines, and leave the place to another."""
        self.lines.leave(self)
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def _owes(self) -> bool:
        """Whether the client has begun something that only it can end."""
        state = self.conn.their_state
        if state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return state is h11.SEND_BODY and self.cycle.response_complete

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.deadline, self._give_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def timeout_keep_alive_handler(self) -> None:
        """Close a line that is idle. Where its next request lies unread it is not: reading that
        takes the deadline back, and what is no request has a second more."""
        close = super().timeout_keep_alive_handler
        if self._unread():
            self.timeout_keep_alive_task = self.loop.call_later(UNREAD, close)
        else:
            close()

    def _give_up(self) -> None:
        # Once: whoever sends byte after byte gains no more than this.
        if self._unread():
            self._late = self.loop.call_later(UNREAD, self._close)
        else:
            self._close()

    def _unread(self) -> bool:
        """Whether bytes of the client's wait in the socket.

        An event loop may call what is due before it reads: after this process was kept from running
        for longer than a deadline, that would be held against clients who sent in time.
        """
        line = self.transport.get_extra_info("socket").fileno()
        if line < 0:
            return False
        waiting = fcntl.ioctl(line, termios.FIONREAD, bytes(4))
        return int.from_bytes(waiting, sys.byteorder) > 0

    def _close(self) -> None:
        self._late = None
        self.transport.close()
