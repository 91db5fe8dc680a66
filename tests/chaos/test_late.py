"""A door that was kept from running: what its clients sent in time is not held against them."""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from tests.chaos.door import DEADLINES, Door, opened
from tests.chaos.inputs import COMPLETIONS
from tests.chaos.wire import request

STOPPED = 3 * DEADLINES[0]
IDLE = 1
BODY = b'{"model": "tiny", "prompt": "hello", "max_tokens": 2}'


def stop(door: Door) -> None:
    """Keep the door from running, and see that it does not."""
    door.process.suspend()
    while door.process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_that_lay_unread_past_its_deadline_is_answered(tmp_path: Path, loop: str) -> None:
    with (
        opened(tmp_path, loop=loop) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as line,
    ):
        asked = request(b"POST", COMPLETIONS, key=door.keys["caller"], body=BODY)
        line.sendall(asked[:20])
        time.sleep(DEADLINES[0] / 3)  # it has begun to wait for the rest
        stop(door)
        line.sendall(asked[20:])
        time.sleep(STOPPED)
        door.process.resume()
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_whoever_sends_too_little_is_hung_up_on_all_the_same(tmp_path: Path, loop: str) -> None:
    with (
        opened(tmp_path, loop=loop) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as line,
    ):
        line.sendall(b"POST ")
        time.sleep(DEADLINES[0] / 3)
        stop(door)
        line.sendall(b"/v1")
        time.sleep(STOPPED)
        door.process.resume()
        assert line.recv(65536) == b""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_further_request_that_lay_unread_on_an_idle_line_is_answered(
    tmp_path: Path, loop: str
) -> None:
    with opened(tmp_path, loop=loop, idle=IDLE) as door:
        line = HTTPConnection("127.0.0.1", door.patient_port, timeout=60)
        asked = {"authorization": f"Bearer {door.keys['caller']}"}
        line.request("POST", COMPLETIONS.decode(), BODY, asked)
        with line.getresponse() as answer:
            assert (answer.status, bool(answer.read())) == (200, True)
        held = line.sock
        time.sleep(IDLE / 4)  # it waits
        stop(door)
        line.request("POST", COMPLETIONS.decode(), BODY, asked)
        time.sleep(2 * IDLE)
        door.process.resume()
        with line.getresponse() as answer:
            assert (answer.status, bool(answer.read())) == (200, True)
        assert line.sock is held, "it was asked over another line"
        assert held.recv(65536) == b"", "an idle line is kept for ever"
        line.close()
