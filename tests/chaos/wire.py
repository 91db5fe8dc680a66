"""Bytes to the door and what comes back, many lines at once: what no HTTP client would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PATIENCE = 20.0
"""Seconds for one line to be sent and answered; far above each of the door's deadlines."""
QUIET = 2.0
"""Seconds of silence after which nothing more is waited for: the door may keep a line open."""
BOUND_TO_END = 15.0
"""The same where the door is to end the line: a busy machine may need them."""
BODY_FOLLOWS = frozenset(range(200, 600)) - {204, 304}

Part = bytes | float | None
"""What is sent, for how many seconds nothing is, or None: nothing until something is answered."""


class Malformed(AssertionError):
    """The door's answer is no HTTP."""


@dataclass(frozen=True)
class Heard:
    """What came over a line."""

    raw: bytes
    closed: bool
    """Whether the door ended it."""
    reset: bool = False
    """Whether it did so while it was still spoken to: then the end of an answer may be lost."""


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(heard: Heard, *, bodiless: bool = False) -> list[Answer]:
    """All whole answers that one line has given, interim ones left out.

    Args:
        heard: What came over it.
        bodiless: Whether a HEAD was among the requests, whose answer tells a length of nothing.

    Raises:
        Malformed: When it is not one whole answer after the other.
    """
    found: list[Answer] = []
    try:
        for answer in _one_by_one(heard.raw, bodiless=bodiless):
            found.append(answer)  # noqa: PERF402 - those before a lost end count
    except Malformed:
        if not heard.reset:
            raise
    return found


def _one_by_one(raw: bytes, *, bodiless: bool) -> Iterator[Answer]:
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not end or not first.startswith("HTTP/1.1 ") or not first[9:12].isdigit():
            raise Malformed(f"no head of an answer: {head[:200]!r}")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        if (status := int(first[9:12])) not in BODY_FOLLOWS:
            continue
        body, raw = _body(headers, raw, bodiless=bodiless)
        yield Answer(status, headers, body)


def _body(headers: dict[str, str], raw: bytes, *, bodiless: bool) -> tuple[bytes, bytes]:
    if bodiless and (not raw or raw.startswith(b"HTTP/1.1 ")):
        return b"", raw
    if "content-length" in headers:
        length = int(headers["content-length"])
        if len(raw) < length:
            raise Malformed(f"{len(raw)} bytes of {length} came: {raw[:200]!r}")
        return raw[:length], raw[length:]
    if headers.get("transfer-encoding") != "chunked":
        raise Malformed(f"an answer without a length: {headers}")
    parts = []
    while True:
        size, end, raw = raw.partition(b"\r\n")
        if not end:
            raise Malformed("the chunks of an answer never end")
        parts.append(raw[: int(size, 16)])
        raw = raw[int(size, 16) + 2 :]
        if not int(size, 16):
            return b"".join(parts), raw


async def exchange(port: int, parts: Iterable[Part], quiet: float = QUIET) -> Heard:
    """Send the parts over a line of their own; all that comes until the door hangs up, or is quiet.

    Args:
        port: The door's.
        parts: What is sent.
        quiet: Seconds of silence after which nothing more is waited for.

    Raises:
        TimeoutError: When it takes nothing in, or speaks without end.
    """
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        heard = asyncio.Event()
        sending = asyncio.create_task(_send(writer, parts, heard))
        try:
            return await _all(reader, sending, heard, quiet)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, parts: Iterable[Part], heard: asyncio.Event) -> None:
    for part in parts:
        if part is None:
            await heard.wait()
            heard.clear()
        elif isinstance(part, float):
            await asyncio.sleep(part)
        else:
            writer.write(part)
            await writer.drain()


async def _all(
    reader: asyncio.StreamReader, sending: asyncio.Task[None], heard: asyncio.Event, quiet: float
) -> Heard:
    parts: list[bytes] = []
    closed = reset = False
    while not closed:
        try:
            part = await asyncio.wait_for(reader.read(65536), quiet)
        except TimeoutError:
            if sending.done():
                break
            continue
        except ConnectionError:
            part, reset = b"", True
        parts.append(part)
        heard.set()
        closed = not part
    return Heard(b"".join(parts), closed, reset)


async def at_once(port: int, sent: Iterable[Iterable[Part]], quiet: float = QUIET) -> list[Heard]:
    """Each over a line of its own, all at the same time; see `exchange`."""
    return list(await asyncio.gather(*(exchange(port, parts, quiet) for parts in sent)))


def request(
    method: bytes, target: bytes, headers: Iterable[bytes] = (), *, key: str = "", body: bytes = b""
) -> bytes:
    """One request, well formed but for what is handed in."""
    lines = [method + b" " + target + b" HTTP/1.1", b"host: door", *headers]
    if key:
        lines.append(b"authorization: Bearer " + key.encode())
    if body:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + body
