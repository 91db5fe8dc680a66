"""A loopback server that plays an endpoint: the gateway's routes, statuses, headers and streams.

It speaks HTTP/1.1 with chunked bodies and writes its events in pieces that are cut where a test
says. It leaves out the model (tokens are the script's; a word of a prompt is two tokens), limits
and checks of a request's fields, answers that are not streamed, TLS, and every route but the two
of a generation. Delays that it plays are what the client has to measure.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "llmops-test-key-canary"
SERVICE = "tiny"
DONE = b"data: [DONE]\n\n"
TOKENS_PER_WORD = 2


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def delta(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


def error(message: str, code: str, **more: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "code": code, **more}}


@dataclass
class Answer:
    """One scripted answer. A number among the pieces is a pause, in seconds."""

    pieces: list[bytes | float]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    dies: bool = False
    """Whether the connection is closed before the body's end."""


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Server(ThreadingHTTPServer):
    """Answers with `script` first, and then with what `otherwise` makes of the body."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, otherwise: Callable[[dict[str, Any]], Answer] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: deque[Answer] = deque()
        self.otherwise = otherwise
        self.asked: list[Asked] = []
        self.hung_up = threading.Event()
        self.lock = threading.Lock()
        self.flying = self.most_flying = 0
        """Requests whose body has not come to its end, now and at most."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up between two requests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            if self.script:
                return self.script.popleft()
        assert self.otherwise is not None, "more was asked than the test has answers for"
        return self.otherwise(asked.body)

    def count(self, change: int) -> None:
        with self.lock:
            self.flying += change
            self.most_flying = max(self.most_flying, self.flying)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.count(1)
        try:
            self._play(self.server.answer(Asked(self.path, headers, json.loads(body))))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            self.server.hung_up.set()

    def _play(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"transfer-encoding": "chunked", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in answer.pieces:
            if isinstance(piece, bytes):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            else:
                time.sleep(piece)
        self.server.count(-1)
        if answer.dies:
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def refusal(status: int, message: str, code: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        [json.dumps(error(message, code)).encode()],
        status,
        {"x-request-id": "req-7", "content-type": "application/json"} | named,
    )


def generate(
    body: dict[str, Any], *, first: float = 0.0, between: float = 0.0, usage: bool = True
) -> Answer:
    """A completion of as many tokens as were asked for, after known delays in seconds."""
    pieces: list[bytes | float] = [first]
    for number in range(body["max_tokens"]):
        if number:
            pieces.append(between)
        pieces.append(event({"choices": [{"index": 0, "text": "tok "}]}))
    prompt = TOKENS_PER_WORD * len(body["prompt"].split())
    counted = {"prompt_tokens": prompt, "completion_tokens": body["max_tokens"]}
    if usage:
        pieces.append(event({"choices": [], "usage": counted}))
    return Answer([*pieces, DONE])
