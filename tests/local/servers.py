"""Loopback servers that the probe is asked to believe. Each stands in for something seen in life.

`Faithful` is a fake, too: it holds no model and invents its log-probabilities. It counts tokens by
the model's own tokenizer and answers as the endpoint does, so what it gets wrong on purpose in the
classes below is the only thing that is wrong.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from serving.client.probe import count_tokens


class Faithful(BaseHTTPRequestHandler):
    """Answers as the release that it is asked for."""

    protocol_version = "HTTP/1.1"
    model: ClassVar[Path]
    release: ClassVar[str] = ""
    """Overrides the release that answers; empty is the one that was asked for."""
    requests: ClassVar[list[dict[str, Any]]]
    stopping: ClassVar[threading.Event]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
        self.answer(body)

    def answer(self, body: dict[str, Any]) -> None:
        self.give(200, json.dumps(self.completion(body)))

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        tokens = body["max_tokens"]
        prompt = count_tokens(self.model, body["prompt"])
        return {
            "choices": [
                {"text": "…", "logprobs": {"token_logprobs": [-0.1 * n for n in range(tokens)]}}
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": tokens,
                "total_tokens": prompt + tokens,
            },
        }

    def give(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("x-llmops-release", self.release or self.headers["llmops-release"])
        self.send_header("content-length", str(len(text.encode())))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nothing: a test's output is its failures."""


class Echo(Faithful):
    """Sends back what it was sent, key and all."""

    def answer(self, body: dict[str, Any]) -> None:
        self.give(200, json.dumps({"key": self.headers["authorization"], "echo": body}))


class OldRelease(Faithful):
    """A release that was there before, and generates."""

    release = "2"


class OtherTokenizer(Faithful):
    """Another model under the same name: it counts otherwise."""

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        made = super().completion(body)
        made["usage"]["prompt_tokens"] += 1
        made["usage"]["total_tokens"] += 1
        return made


class InventedCounts(Faithful):
    """Claims the tokens that were asked for, and has generated none."""

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        made = super().completion(body)
        made["choices"][0]["logprobs"]["token_logprobs"] = []
        return made


class Cache(Faithful):
    """Gives its first answer to everybody."""

    kept: ClassVar[dict[str, str]] = {}

    def answer(self, body: dict[str, Any]) -> None:
        self.give(200, self.kept.setdefault("first", json.dumps(self.completion(body))))


class DeadEngine(Faithful):
    """The gateway is up and its engine is not."""

    def answer(self, body: dict[str, Any]) -> None:
        self.give(503, '{"error": {"message": "no replica answers"}}')


class Redirecting(Faithful):
    """Would have the key carried elsewhere."""

    def answer(self, body: dict[str, Any]) -> None:
        self.give(307, "", location="http://127.0.0.1:1/v1/completions")


class Hanging(Faithful):
    """Takes the request and says nothing."""

    def answer(self, body: dict[str, Any]) -> None:
        self.stopping.wait()


class Dripping(Faithful):
    """Answers a byte at a time, without an end."""

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while not self.stopping.wait(0.05):
            self.wfile.write(b"1\r\n \r\n")


class Endless(Faithful):
    """Answers faster than anybody can read, without an end."""

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while not self.stopping.is_set():
            self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


class HangingUp(Faithful):
    """Hangs up in the middle of its answer."""

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True


@contextmanager
def serving(kind: type[Faithful], model: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server; yields the endpoint's URL and the requests that it got. Ends it always."""
    requests: list[dict[str, Any]] = []
    stopping = threading.Event()
    handler = type(
        kind.__name__,
        (kind,),
        {"model": model, "requests": requests, "stopping": stopping, "kept": {}},
    )

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: a probe that has seen enough hangs up."""

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
