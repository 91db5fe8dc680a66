"""How uvicorn must serve the gateway: bounded heads, no WebSocket, and nobody holds a line forever.

The app bounds a request once its head is there. What comes before is the server's, and uvicorn's
defaults leave it open, all of it before any key was seen: its faster parser (httptools) keeps heads
and trailers of any size, and takes a header that follows a body for one that came before it; and
neither parser minds a head that never ends or a refused body that trickles on. So the parser is h11
(a few µs more for each token), which bounds a head, tells trailers from headers and refuses two
lengths, and a connection whose turn it is to speak has a deadline, as has one that does not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.gateway.lines import Lines, most_lines

if TYPE_CHECKING:
    import ssl

    import uvicorn

MAX_HEAD = 65536
"""Bytes of a request's head."""
HEAD_DEADLINE = 15.0
"""Seconds for a head to be complete, and for the rest of a body that was answered already."""
STALL_DEADLINE = 60.0
"""Seconds for a client to read on, once what it was sent fills the buffers; about 1 kB/s."""
KEEP_ALIVE = 75
"""Seconds that a connection may stay idle between two requests."""


def gateway_server(
    app: Any,
    *,
    head_deadline: float = HEAD_DEADLINE,
    stall_deadline: float = STALL_DEADLINE,
    most_connections: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> uvicorn.Server:
    """The server that hosts `app`; its sockets, which are bound already, are given to `serve`.

    Args:
        app: The gateway, or the metrics beside it.
        head_deadline: Seconds, for a handshake too; another value is for tests.
        stall_deadline: Seconds; another value is for tests.
        most_connections: At once; by default as many as `lines.most_lines` says.
        tls: What it speaks TLS with; None is plain HTTP.
    """
    from serving.gateway.listening import Server

    lines = Lines(most_lines() if most_connections is None else most_connections)
    bounds = {"deadline": head_deadline, "stall": stall_deadline, "lines": lines}
    return Server(_config(app, bounds, tls), head_deadline)


def _config(app: Any, bounds: dict[str, Any], tls: ssl.SSLContext | None) -> uvicorn.Config:
    import uvicorn  # only the process that listens needs it

    from serving.gateway.connection import Impatient

    protocol = type("Connection", (Impatient,), bounds)
    config = uvicorn.Config(
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
    config.load()
    config.ssl = tls  # made by us, so that its certificate can be renewed while it listens
    return config
