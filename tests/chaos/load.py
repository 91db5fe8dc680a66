"""A load as users make it, written down event by event: open loop, so a slow service gets no rest.

Arrivals are Poisson and drawn from a seed: how long, streamed or plain, with which key, hung up
on or not. It speaks HTTP to the gateway and knows nothing else of it. It judges nothing: what it
saw goes into the history as it was, and a request that got no answer is no reason to stop.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.history import Ended, Event, Head, How, Sent

DEADLINE = 240.0
"""Seconds in which something must have come, or the request counts as broken."""
MADE_UP_FOR = 2.0
"""Seconds of lateness after which the load no longer hurries to make up for it."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked, in shares of all requests (0 to 1)."""

    rate: float = 6.0
    """Requests per second, on the average."""
    long: float = 0.05
    """Streams of `long_tokens`."""
    long_tokens: int = 300
    streamed: float = 0.5
    """Streams among the others."""
    short_tokens: tuple[int, int] = (1, 24)
    cancelled: float = 0.05
    """Of those that are streamed: the client hangs up at a moment within `patience` seconds."""
    patience: float = 2.0
    named: float = 0.02
    """Requests with the operator's key that name the release that was live last."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where is asked, and with which keys, by name."""

    url: str
    service: str
    keys: Mapping[str, str]
    operator: tuple[str, str]
    """Name and text of the key that may name a release."""


@dataclass(slots=True)
class _Answer:
    """What has come of an answer so far."""

    stream: bool
    text: str = ""
    first_at: float | None = None
    pieces: int = 0
    finish: str = ""
    done: bool = False
    counted: int | None = None
    error: str = ""
    error_id: str = ""
    why: str = ""
    stage: str = ""
    """What the client's library did last, and when."""

    async def trace(self, name: str, _info: object) -> None:
        """Note what the client's library does, but for how it gives up."""
        if "failed" not in name and "closed" not in name:
            self.stage = f"{name} at {time.time():.3f}"

    def take(self, document: Any) -> None:
        """A JSON document, whole or an event's."""
        if "error" in document:
            self.error = str(document["error"].get("code", ""))
            self.error_id = str(document["error"].get("request_id", ""))
        for choice in document.get("choices", ()):
            if text := choice.get("text"):
                self.first_at = self.first_at or time.time()
                self.text += text
                self.pieces += 1
            self.finish = choice.get("finish_reason") or self.finish
        if usage := document.get("usage"):
            self.counted = usage["completion_tokens"]

    def read(self, raw: bytes) -> bytes:
        """Take the whole events of what has come; the rest."""
        *events, rest = raw.split(b"\n\n")
        for event in events:
            if event == b"data: [DONE]":
                self.done = True
            elif event.startswith(b"data: "):
                self.take(json.loads(event[6:]))
        return rest


@dataclass(slots=True)
class Load:
    """Asks until it is told to stop.

    Args:
        door: Where.
        mix: What.
        write: Takes each event, in the order in which they happen.
        live: Gives the number of the release that is known to be live; None: none is.
        seed: Of all that is drawn.
        deadline: See below.
    """

    door: Door
    mix: Mix
    write: Callable[[Event], None]
    live: Callable[[], int | None]
    seed: int = 0
    deadline: float = DEADLINE
    """Seconds in which something must have come."""
    sent: int = 0
    long: int = 0
    """Of those that were sent, the long streams."""
    late: float = 0.0
    """Seconds by which a request left later than it was drawn, at most: how busy the load itself
    was kept. What it says of waiting is no better than that."""
    skipped: float = 0.0
    """Seconds in which nothing was drawn, since the load was kept from it for longer than it makes
    up for: a rush of all that is due would be another load than the one that was asked for."""

    async def run(self, enough: Callable[[], bool]) -> None:
        """Send until it is enough, and wait for all answers."""
        draw = random.Random(self.seed)
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=100, keepalive_expiry=30.0
        )
        due = time.monotonic()
        async with (
            httpx.AsyncClient(timeout=self.deadline, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as asking,
        ):
            while not enough():
                due += draw.expovariate(self.mix.rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                late = time.monotonic() - due
                self.late = max(self.late, late)
                if late > MADE_UP_FOR:
                    self.skipped += late - MADE_UP_FOR
                    due += late - MADE_UP_FOR
                asking.create_task(self._ask(client, *self._drawn(draw)))

    def _drawn(self, draw: random.Random) -> tuple[Sent, str, float | None]:
        """The next request, the text of its key, and when its client hangs up."""
        mix, self.sent = self.mix, self.sent + 1
        long = draw.random() < mix.long
        stream = long or draw.random() < mix.streamed
        tokens = mix.long_tokens if long else draw.randint(*mix.short_tokens)
        name = draw.choice(sorted(self.door.keys))
        hangs_up = draw.uniform(0.0, mix.patience)
        leaves = hangs_up if draw.random() < mix.cancelled and not long else None
        text, asked = self.door.keys[name], None
        if draw.random() < mix.named and not long and (asked := self.live()) is not None:
            name, text = self.door.operator
        self.long += long
        sent = Sent(self.sent, 0.0, name, stream, tokens, asked)
        return sent, text, leaves

    async def _ask(
        self, client: httpx.AsyncClient, meant: Sent, key: str, leaves: float | None
    ) -> None:
        sent = Sent(meant.request, time.time(), meant.key, meant.stream, meant.tokens, meant.asked)
        self.write(sent)
        answer, how = _Answer(sent.stream), How.CLOSED
        try:
            async with asyncio.timeout(leaves):
                await self._exchange(client, sent, key, answer)
        except (httpx.HTTPError, OSError, ValueError) as error:
            meant_to = isinstance(error, TimeoutError) and leaves is not None
            how = How.CANCELLED if meant_to else How.BROKEN
            answer.why = f"{error!r:.200} after {answer.stage}"
        fields = {
            name: getattr(answer, name)
            for name in answer.__slots__
            if name not in ("stream", "stage")
        }
        self.write(Ended(sent.request, time.time(), how, **fields))

    async def _exchange(
        self, client: httpx.AsyncClient, sent: Sent, key: str, answer: _Answer
    ) -> None:
        headers = {"authorization": f"Bearer {key}"}
        if sent.asked is not None:
            headers["llmops-release"] = str(sent.asked)
        body = {
            "model": self.door.service, "prompt": f"the {sent.request} ", "temperature": 0,
            "max_tokens": sent.tokens, "stream": sent.stream,
            **({"stream_options": {"include_usage": True}} if sent.stream else {}),
        }  # fmt: skip
        url = f"{self.door.url}/completions"
        traced = {"trace": answer.trace}
        async with client.stream("POST", url, json=body, headers=headers, extensions=traced) as got:
            release = got.headers.get("x-llmops-release")
            identifier = got.headers.get("x-request-id", "")
            number = int(release) if release else None
            self.write(Head(sent.request, time.time(), got.status_code, identifier, number))
            raw = b""
            async for piece in got.aiter_raw():
                raw += piece
                if sent.stream and got.status_code == 200:
                    raw = answer.read(raw)
        if raw:
            answer.take(json.loads(raw))
            answer.done = not sent.stream


__all__ = ["Door", "Load", "Mix"]
