"""A client that asks for much and takes nothing in is hung up on; its place is another's again."""

from __future__ import annotations

import json
import socket
import time

from tests.chaos.door import CANARY, Door
from tests.chaos.inputs import COMPLETIONS
from tests.chaos.wire import request

PATIENCE = 30.0
MUCH = {
    "model": "tiny", "prompt": CANARY, "stream": True, "n": 4, "max_tokens": 20_000,
    "ignore_eos": True,
}  # fmt: skip
"""Some 10 MB of an answer: more than the buffers between two processes take."""


def ended(door: Door) -> list[str]:
    """Reasons that generations have ended for, as the audit says."""
    lines = (door.home / "audit.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [line["reason"] for line in found if line["route"] == COMPLETIONS.decode()]


def assert_given_up(door: Door, patience: float) -> None:
    """Ask for much, read nothing, and see the door give up within so many seconds."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", door.port))
        body = json.dumps(MUCH).encode()
        line.sendall(request(b"POST", COMPLETIONS, key=door.keys["caller"], body=body))
        until = time.monotonic() + patience
        while not ended(door):
            assert time.monotonic() < until, "its place is held by whom nobody serves"
            time.sleep(0.05)
    assert ended(door) == ["client_gone"]


def test_a_stream_that_nobody_reads_is_given_up(door: Door) -> None:
    assert_given_up(door, PATIENCE)


def test_a_stream_that_is_read_slowly_comes_to_its_end(door: Door) -> None:
    before = len(ended(door))
    with socket.create_connection(("127.0.0.1", door.port)) as line:
        body = json.dumps(MUCH).encode()
        line.sendall(
            request(
                b"POST", COMPLETIONS, [b"connection: close"], key=door.keys["caller"], body=body
            )
        )
        tail = b""
        while piece := line.recv(65536):
            tail = (tail + piece)[-100:]
            time.sleep(0.001)
    assert b"data: [DONE]" in tail
    assert ended(door)[before:] == ["ok"]
