"""The server that listens for the gateway: no signals of its own, and no handshake that never ends.

Apart from `server`, because it needs uvicorn when it is defined, and most commands need none.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn


class Server(uvicorn.Server):
    """uvicorn without signal handlers, since whoever hosts it ends this process.

    Args:
        config: How it serves.
        handshake_deadline: Seconds in which a client must have agreed on TLS; uvicorn leaves it at
            a minute.
    """

    def __init__(self, config: uvicorn.Config, handshake_deadline: float) -> None:
        super().__init__(config)
        self._deadline = handshake_deadline

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the host."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on `sockets`, which are bound already."""
        await super().startup(sockets=[])
        loop, config = asyncio.get_running_loop(), self.config
        for listener in sockets or ():
            server = await loop.create_server(
                self._connection,
                sock=listener,
                backlog=config.backlog,
                ssl=config.ssl,
                ssl_handshake_timeout=self._deadline if config.ssl else None,
            )
            self.servers.append(server)

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
