"""A stream of server-sent events as it arrives, in pieces that are cut anywhere. Pure.

Lines end as the HTML standard has it (LF, CR LF or CR), an event ends with an empty line, and of
its fields only `data` is kept. What was not ended by an empty line was cut, and is no event.
"""

from __future__ import annotations

import re

MOST_BYTES = 1_000_000
"""Bytes that one event may have: a token's takes some hundred."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


class TooLong(Exception):
    """An event has more than `MOST_BYTES`."""


class Parser:
    """What has come of one stream so far."""

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, piece: bytes) -> list[str]:
        """Take a piece; returns the data of each event that it completed.

        Raises:
            TooLong: When an event does not end.
        """
        if piece:
            # The LF of a CR LF that was cut in two ends no second line.
            piece = piece.removeprefix(b"\n") if self._after_cr else piece
            self._after_cr = piece.endswith(b"\r")
        *lines, self._pending = _LINE_END.split(self._pending + piece)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if self._size + len(self._pending) > MOST_BYTES:
            raise TooLong
        return events

    def _take(self, line: bytes) -> str | None:
        if not line:
            event, self._data, self._size = self._data, [], 0
            return b"\n".join(event).decode("utf-8", "replace") if event else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1
        return None
