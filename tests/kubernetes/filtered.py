"""The same API server as one of a cluster where something is not installed: a proxy hides a group.

Answers are the API server's own, but for the hidden paths, which it would not know.
"""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.kubernetes.cluster import Cluster

LOCAL = {"host", "content-length", "transfer-encoding", "content-encoding", "connection"}


@contextmanager
def without(plane: Cluster, group: str) -> Iterator[str]:
    """The address of an API server that does not know an API group."""
    trusted = ssl.create_default_context(cafile=str(plane.authority.certificate))
    upstream = httpx.Client(base_url=plane.url, verify=trusted, trust_env=False, timeout=30)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            if self.path.startswith(f"/apis/{group}/"):
                self._answer(404, {"content-type": "text/plain"}, b"404 page not found\n")
                return
            sent = {k: v for k, v in self.headers.items() if k.lower() not in LOCAL}
            sent["accept-encoding"] = "identity"
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found = upstream.request(self.command, self.path, headers=sent, content=body)
            given = {k: v for k, v in found.headers.items() if k.lower() not in LOCAL}
            self._answer(found.status_code, given, found.content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    for verb in ("DELETE", "GET", "PATCH", "POST", "PUT"):
        setattr(Handler, f"do_{verb}", Handler.pass_on)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, upstream:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)
