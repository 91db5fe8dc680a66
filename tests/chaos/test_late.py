"""A door that was kept from running: what its clients sent in time is not held against them."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.chaos.door import DEADLINES, opened
from tests.chaos.inputs import COMPLETIONS
from tests.chaos.wire import request

STOPPED = 3 * DEADLINES[0]
BODY = b'{"model": "tiny", "prompt": "hello", "max_tokens": 2}'


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_that_lay_unread_past_its_deadline_is_answered(tmp_path: Path, loop: str) -> None:
    with (
        opened(tmp_path, loop=loop) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as line,
    ):
        asked = request(b"POST", COMPLETIONS, key=door.keys["caller"], body=BODY)
        line.sendall(asked[:20])
        time.sleep(DEADLINES[0] / 3)  # it has begun to wait for the rest
        os.kill(door.process.pid, signal.SIGSTOP)
        line.sendall(asked[20:])
        time.sleep(STOPPED)
        os.kill(door.process.pid, signal.SIGCONT)
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_whoever_sends_too_little_is_hung_up_on_all_the_same(tmp_path: Path, loop: str) -> None:
    with (
        opened(tmp_path, loop=loop) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as line,
    ):
        line.sendall(b"POST ")
        time.sleep(DEADLINES[0] / 3)
        os.kill(door.process.pid, signal.SIGSTOP)
        line.sendall(b"/v1")
        time.sleep(STOPPED)
        os.kill(door.process.pid, signal.SIGCONT)
        assert line.recv(65536) == b""
