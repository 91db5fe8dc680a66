"""How a gateway's pod leaves: it waits for streams, and for nobody that has ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from serving.runtime import leave

Answer = Callable[[str, int], tuple[int, dict[str, Any]]]
"""From a path and how often it was asked for before to a status and a document."""


def state(flying: int) -> dict[str, Any]:
    return {"services": {"tiny": {"in_flight": {"1": flying, "2": 0}}}}


class Fake:
    """A gateway's ops port that answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                status, document = answer(self.path, fake.asked.count(self.path))
                fake.asked.append(self.path)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _reply  # noqa: N815 - the base class calls them so

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def leave(self, seconds: float) -> float:
        """Seconds that leaving took."""
        began = time.monotonic()
        assert leave.main([str(self.server.server_address[1]), str(seconds)]) == 0
        return time.monotonic() - began


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], Fake]]:
    monkeypatch.setattr(leave, "SETTLE", 0.0)
    monkeypatch.setattr(leave, "POLL", 0.01)
    made: list[Fake] = []

    def make(answer: Answer) -> Fake:
        made.append(Fake(answer))
        return made[-1]

    yield make
    for fake in made:
        fake.server.shutdown()
        fake.server.server_close()


def test_it_leaves_once_and_waits_until_nothing_is_in_flight(
    gateway: Callable[[Answer], Fake],
) -> None:
    fake = gateway(lambda path, asked: (200, state(max(0, 3 - asked))))
    assert fake.leave(5.0) < 4.0
    assert fake.asked.count("/leave") == 1
    assert fake.asked.count("/state") == 4


def test_a_gateway_that_answers_with_errors_for_a_while_may_still_have_streams(
    gateway: Callable[[Answer], Fake],
) -> None:
    fake = gateway(lambda path, asked: (500, {}) if asked < 3 else (200, state(0)))
    fake.leave(5.0)
    assert fake.asked.count("/state") == 4


def test_a_gateway_that_does_not_leave_is_waited_for_all_the_same(
    gateway: Callable[[Answer], Fake],
) -> None:
    fake = gateway(lambda path, asked: (403, {}) if path == "/leave" else (200, state(2 - asked)))
    fake.leave(5.0)
    assert fake.asked.count("/state") == 3


def test_the_drain_ends_it_however_much_is_in_flight(gateway: Callable[[Answer], Fake]) -> None:
    assert gateway(lambda path, asked: (200, state(1))).leave(0.2) < 2.0


def test_nobody_waits_for_a_gateway_that_has_ended(gateway: Callable[[Answer], Fake]) -> None:
    fake = gateway(lambda path, asked: (200, state(1)))
    fake.server.shutdown()
    fake.server.server_close()
    assert fake.leave(5.0) < 2.0
