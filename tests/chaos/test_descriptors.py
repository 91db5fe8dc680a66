"""No file descriptor is left at the door: it neither spins nor dies, what it serves goes on.

The limit of a real process is lowered until it has none, as `prlimit` does, and then given back.
Both event loops are tried: Ray runs the gateway on uvloop where that is installed.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from tests.chaos.door import Door, opened
from tests.chaos.inputs import COMPLETIONS
from tests.chaos.test_slow_readers import MUCH
from tests.chaos.wire import request

STRANGERS = 40
LOOKED = 2.0
"""Seconds for which the door is looked at while it has no descriptor."""
SPINNING = 0.5
"""Of a processor: a loop that accepts in vain takes all of one."""
PATIENCE = 30.0


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def own_door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    with opened(tmp_path_factory.mktemp("door"), loop=request.param) as running:
        yield running


@contextlib.contextmanager
def no_descriptor(door: Door) -> Iterator[None]:
    """While it lasts, the door's process can open nothing."""
    limit = door.process.rlimit(resource.RLIMIT_NOFILE)
    door.process.rlimit(resource.RLIMIT_NOFILE, (door.process.num_fds(), limit[1]))
    try:
        yield
    finally:
        door.process.rlimit(resource.RLIMIT_NOFILE, limit)


def _stream(door: Door) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", door.patient_port), timeout=PATIENCE)
    body = json.dumps(MUCH).encode()
    line.sendall(
        request(b"POST", COMPLETIONS, [b"connection: close"], key=door.keys["caller"], body=body)
    )
    assert b"200" in line.recv(4096)
    return line


def _answered(door: Door) -> bool:
    """Whether a plain request on a connection of its own is answered."""
    body = json.dumps({"model": "tiny", "prompt": "1"}).encode()
    asked = request(
        b"POST", COMPLETIONS, [b"connection: close"], key=door.keys["neighbour"], body=body
    )
    try:
        with socket.create_connection(("127.0.0.1", door.patient_port), timeout=5.0) as line:
            line.sendall(asked)
            return b"200" in line.recv(4096)
    except OSError:
        return False


def test_a_door_without_descriptors_serves_what_it_has_and_takes_more_once_it_can(
    own_door: Door,
) -> None:
    door = own_door
    assert _answered(door)
    with _stream(door) as stream, contextlib.ExitStack() as strangers:
        with no_descriptor(door):
            for _ in range(STRANGERS):
                line = strangers.enter_context(socket.socket())
                line.setblocking(False)
                line.connect_ex(("127.0.0.1", door.patient_port))
            time.sleep(0.2)
            before, began, got = door.effort(), time.monotonic(), 0
            while time.monotonic() - began < LOOKED:
                got += len(stream.recv(4096))  # slowly: it must not end before it was looked at
                time.sleep(0.02)
            spent = (door.effort() - before) / (time.monotonic() - began)
            assert got > 0, "the stream that it serves stands still"
            assert not _answered(door), "the fault did not land: it still accepts"
        assert spent < SPINNING, "it tries again and again, and takes a processor for it"
        until = time.monotonic() + PATIENCE
        while not _answered(door):
            assert time.monotonic() < until, "it does not accept again by itself"
        tail = b""
        while piece := stream.recv(1 << 20):
            tail = (tail + piece)[-100:]
    assert b"data: [DONE]" in tail, "a stream was cut"
    assert door.process.is_running()
