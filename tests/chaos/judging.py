"""What holds whatever was thrown at the door: of each answer, and of the door and its neighbour."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from tests.chaos.door import CANARY, PATIENCE, Door
from tests.chaos.inputs import COMPLETIONS, KEY, PLAIN, Input
from tests.chaos.wire import Answer, Heard, answers, request

GROWTH = 64 * 2**20
"""Bytes that the door's process may hold at most beyond what it held before: requests at the same
time have bodies of up to 1 MiB, each read into some ten times that while it is looked at."""
NEIGHBOURLY = 1.0
"""Seconds of the processor within which the door answers another user's plain request meanwhile:
on a machine with nothing else to do, seconds by the clock."""
EVERY = 0.05
"""Seconds between two requests of the neighbour."""


def addressed(sent: Input, key: str) -> Input:
    """The input with a key in the place of `KEY`."""
    return tuple(p.replace(KEY, key.encode()) if isinstance(p, bytes) else p for p in sent)


def judge(sent: Input, heard: Heard, keys: dict[str, str]) -> list[Answer]:
    """Hold what a line has answered against the promises; the answers.

    Raises:
        AssertionError: When one is broken.
    """
    text = b"".join(part for part in sent if isinstance(part, bytes))
    found = answers(heard, bodiless=b"HEAD" in text)
    for key in keys.values():
        assert key.encode() not in heard.raw, "an answer repeats a key"
    for answer in found:
        assert answer.status in range(200, 500), f"{answer} of {text[:500]!r}"
        assert answer.headers.get("x-request-id", "").startswith("req-"), answer
        assert b"Traceback" not in answer.body
        if answer.status >= 400:
            _judge_error(answer, bodiless=b"HEAD" in text)
        else:
            _judge_success(answer)
    return found


def _judge_error(answer: Answer, *, bodiless: bool) -> None:
    assert answer.headers["content-type"] == "application/json", answer
    if not answer.body and bodiless:
        return
    assert json.loads(answer.body)["error"].keys() == {"message", "type", "param", "code"}
    assert len(answer.body) < 4000


def _judge_success(answer: Answer) -> None:
    assert answer.status == 200, answer
    if answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.body.endswith(b"data: [DONE]\n\n"), (
            f"a stream was cut: {answer.body[-200:]!r}"
        )
    elif answer.body:
        json.loads(answer.body)


class Neighbour(threading.Thread):
    """Another user, who asks plainly all the while, each time over a line of its own."""

    def __init__(self, door: Door) -> None:
        super().__init__(daemon=True)
        self._door = door
        self._over = threading.Event()
        self._asks = request(
            b"POST", COMPLETIONS, key=door.keys["neighbour"], body=json.dumps(PLAIN).encode()
        )
        self.waits: list[float] = []
        """Seconds of the processor that the door took until it had answered, request by request."""
        self.refused: list[str] = []

    def run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self._ask()
            except (OSError, HTTPException) as error:
                self.refused.append(repr(error))

    def _ask(self) -> None:
        before = self._door.effort()
        with socket.create_connection(("127.0.0.1", self._door.patient_port), PATIENCE) as line:
            line.sendall(self._asks)  # at once: a busy machine may take its time between two writes
            answer = HTTPResponse(line)
            answer.begin()
            body = answer.read()
        self.waits.append(self._door.effort() - before)
        if answer.status != 200:
            self.refused.append(body.decode())

    def end(self) -> None:
        self._over.set()
        self.join(2 * PATIENCE)
        assert not self.is_alive(), "the neighbour is not answered"


@contextlib.contextmanager
def unharmed(door: Door) -> Iterator[Neighbour]:
    """What holds of the door once the block has ended, and of a neighbour meanwhile."""
    before = door.memory()
    neighbour = Neighbour(door)
    neighbour.start()
    try:
        yield neighbour
    finally:
        neighbour.end()
    assert neighbour.refused == [], f"a neighbour is refused: {neighbour.refused[:3]}"
    assert neighbour.waits, "the neighbour was never answered"
    assert max(neighbour.waits) <= NEIGHBOURLY, f"{max(neighbour.waits):.1f} s for a plain request"
    assert door.process.is_running(), "the door's process is gone"
    assert door.peak() - before <= GROWTH, f"{(door.peak() - before) >> 20} MiB more than before"
    assert_nothing_written(door)


def assert_nothing_written(door: Door) -> None:
    """No content, no key and no traceback in what the door wrote, and nothing in its log."""
    log = door.said()
    for name, content in {"the log": log, **door.records()}.items():
        for key in door.keys.values():
            assert key.encode() not in content, f"a key is in {name}"
            assert key[24:].encode() not in content, f"a key's secret is in {name}"
        assert CANARY.encode() not in content, f"what was asked is in {name}"
        assert b"Traceback" not in content, f"{name}: {content[-3000:].decode(errors='replace')}"
    assert log == b"", f"strangers can fill the log: {log[-500:]!r}"
