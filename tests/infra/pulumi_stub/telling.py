"""Sends engine events to whoever asked for them, as the engine does: a stream of JSON by gRPC.

The message has one string field, so it is written by hand: to import Pulumi's package for it would
take longer than everything else here together.
"""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Iterator
from typing import Any

import grpc


def _message(text: str) -> bytes:
    body = text.encode()
    length, size = len(body), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return b"\x0a" + size + bytes([length]) + body


class Teller:
    """One stream of events; a teller without an address tells nobody."""

    def __init__(self, address: str) -> None:
        self._events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sequence = 0
        self._answer: Any = None
        if address:
            channel = grpc.insecure_channel(address.removeprefix("tcp://"))
            call = channel.stream_unary("/pulumirpc.Events/StreamEvents")
            self._answer = call.future(self._stream())

    def _stream(self) -> Iterator[bytes]:
        while (event := self._events.get()) is not None:
            yield event

    def __call__(self, event: dict[str, Any]) -> None:
        whole = {"sequence": self._sequence, "timestamp": int(time.time()), **event}
        self._sequence += 1
        self._events.put(_message(json.dumps(whole)))

    def close(self) -> None:
        """Until everything has arrived."""
        self._events.put(None)
        if self._answer is not None:
            with contextlib.suppress(grpc.RpcError):  # whoever listened may have been killed
                self._answer.result(timeout=60)
