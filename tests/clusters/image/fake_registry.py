"""A registry on loopback: of the v2 API what readers and builders use. It can be told to lie."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TOKEN = "canary-token-of-the-registry"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class FakeRegistry:
    """Content by path, and the rules that requests are held to."""

    port: int = 0
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    """Location by path."""
    password: str = ""
    """When set, `user` and this are asked for, by a token unless `basic`."""
    basic: bool = False
    realm: str = ""
    """Token server to name; the registry's own without it."""
    hold: threading.Event | None = None
    """When set, nothing is answered until it is."""
    parts: dict[str, bytes] = field(default_factory=dict)
    """What has come of blobs that are being pushed."""
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, labels: dict[str, str], tag: str = "1", architecture: str = "amd64") -> str:
        """An image; its manifest's digest."""
        config = {"architecture": architecture, "os": "linux", "config": {"Labels": labels}}
        return self.add_manifest({"config": {"digest": self.add_blob(config)}}, MANIFEST, tag)

    def add_blob(self, document: Any) -> str:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def add_manifest(self, document: Any, kind: str, tag: str, content: bytes = b"") -> str:
        content = content or json.dumps(document).encode()
        digest = digest_of(content)
        self.manifests[tag] = self.manifests[digest] = (kind, content)
        return digest

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.seen.append((path, headers))
        if self.hold is not None:
            self.hold.wait(30)
        if path.startswith("/token"):
            return self._token(headers)
        if not self._may(headers):
            realm = self.realm or f"http://{self.host}/token"
            scheme = "Basic" if self.basic else f'Bearer realm="{realm}",service="fake"'
            return 401, {"WWW-Authenticate": scheme}, self._error("UNAUTHORIZED")
        if path in self.redirects:
            return 307, {"Location": self.redirects[path]}, b""
        return self._content(path)

    def take(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Keep what a builder pushes: blobs in one go or in parts, then their manifest."""
        folder, _, name = path.rpartition("/manifests/")
        if folder:
            digest = self.add_manifest(json.loads(body), MANIFEST, name, body)
            return 201, {"Docker-Content-Digest": digest}, b""
        if method == "POST":
            place = f"{path.rstrip('/')}/{uuid.uuid4()}"
            return 202, {"Location": place, "Range": "0-0"}, b""
        place, _, digest = path.partition("?digest=")
        self.parts[place] = self.parts.get(place, b"") + body
        if method == "PATCH":
            size = len(self.parts[place])
            return 202, {"Location": place, "Range": f"0-{size - 1}"}, b""
        content = self.parts.pop(place)
        assert digest_of(content) == unquote(digest), "what was pushed is not its digest's"
        self.blobs[digest_of(content)] = content
        return 201, {}, b""

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"user:{self.password}".encode()).decode()

    def _may(self, headers: dict[str, str]) -> bool:
        given = headers.get("Authorization", "")
        return not self.password or given == (self._basic() if self.basic else f"Bearer {TOKEN}")

    def _token(self, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if headers.get("Authorization") != self._basic():
            # A careless server repeats what it was sent.
            return 401, {}, json.dumps({"errors": [{"code": str(headers)}]}).encode()
        return 200, {}, json.dumps({"token": TOKEN}).encode()

    def _content(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/v2/":
            return 200, {}, b"{}"
        _, _, rest = path.partition("/team/llmops/")
        kind, _, name = rest.partition("/")
        if kind == "manifests" and name in self.manifests:
            media, content = self.manifests[name]
            return 200, {"Content-Type": media}, content
        if kind == "blobs" and name in self.blobs:
            return 200, {}, self.blobs[name]
        return 404, {}, self._error("MANIFEST_UNKNOWN")

    def _error(self, code: str) -> bytes:
        return json.dumps({"errors": [{"code": code, "message": "no"}]}).encode()


class Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(*self.registry.answer(self.path, dict(self.headers)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._send(*self.registry.take(self.command, self.path, self._body()))

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with contextlib.suppress(OSError):  # a client that has given up
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve() -> Iterator[FakeRegistry]:
    """A registry, as long as the block runs."""
    registry = FakeRegistry()

    handler = type("OwnHandler", (Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
