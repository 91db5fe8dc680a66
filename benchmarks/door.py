"""What the door costs: the gateway beside LiteLLM's proxy and a bare ingress of Ray Serve.

    python -m benchmarks.door [ROUNDS]

Everything stands before an engine that is none (`door_engine`), so each figure is one of the door
alone and none is a service's. What is measured, of each side in turn:

- Processor microseconds of the door's processes for a plain request, and for a piece of a stream:
  the slope between streams of 8 and of 136 pieces.
- Added latency: until the first piece of a stream, less the same of the engine over HTTP.
- Memory of an open stream: what the processes hold with many open, less what they held before.
- Saturation: plain requests a second that a closed loop reaches, which is what two cores bear.
- Goodput before an engine that takes 32 requests at once, of 200 ms each: answers that come within
  5 s, at its rate and at twice that, open loop; with the gateway's queue, and without (`unqueued`:
  all go to the engine, where they wait for good, as behind a door that bounds nothing).

Sides: the gateway in a process of its own, its engine inside (`gateway`); the gateway as a deploy
makes it, inside Serve, over a handle to the engine's replica (`gateway in Serve`, and with that
replica's effort); an ingress of Serve's own behind its proxy (`bare Serve`: no keys, no limits, no
audit, and Serve's settings are those of a deploy); LiteLLM's proxy over HTTP with one key. The
gateway is measured twice: its ratio to itself is the noise floor. LiteLLM reads its engine's
answers over HTTP, which the in-process gateway does not: the gateway in Serve, which has a hop as
well, is the fairer comparison.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.door_engine import MODEL
from benchmarks.door_sides import PLACES, Side, litellm, opened

PLAIN = 600
"""Plain requests of one measurement."""
AT_ONCE = 16
STREAMS = 48
PIECES = 8, 136
OPEN = 256
"""Streams that are held open."""
CONCURRENT = 1, 64, 512
TAKES = 0.2
"""Seconds of an answer of an engine that can be overloaded."""
WITHIN = 5.0
"""Seconds within which an answer is a good one."""
RUSH = 20.0
"""Seconds of one rush."""
AIM = 0.2
"""Of LiteLLM's cost of a request, at most."""
ENGINE = "engine alone"


@dataclass(frozen=True)
class Answer:
    """How one request went."""

    status: int
    first: float
    """Seconds to the first piece."""
    whole: float
    pieces: int


class Client:
    """Asks one side; its own effort is in no figure."""

    def __init__(self, session: aiohttp.ClientSession, side: Side) -> None:
        self._session, self._url = session, f"{side.url}/chat/completions"
        self._headers = {"authorization": f"Bearer {side.key}"}

    async def ask(self, pieces: int = 1, *, stream: bool = False, gap: int = 0) -> Answer:
        body = {
            "model": MODEL, "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": pieces, "stream": stream, "seed": gap,
        }  # fmt: skip
        began, first, seen = time.perf_counter(), 0.0, 0
        async with self._session.post(self._url, json=body, headers=self._headers) as answer:
            async for line in answer.content:
                first = first or time.perf_counter() - began
                seen += line.startswith(b"data: {")
        return Answer(answer.status, first, time.perf_counter() - began, seen)


@contextlib.asynccontextmanager
async def clients(side: Side) -> Any:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**18) as session:
        yield Client(session, side)


async def together(
    side: Side, count: int, at_once: int, ask: Callable[[Client], Any]
) -> list[Answer]:
    """As many requests, so many at a time; each must succeed."""
    left = iter(range(count))

    async def loop(client: Client) -> list[Answer]:
        return [await ask(client) for _ in left]

    async with clients(side) as client:
        lists = await asyncio.gather(*(loop(client) for _ in range(at_once)))
    found = [one for answers in lists for one in answers]
    bad = [one.status for one in found if one.status != 200]
    if bad:
        raise SystemExit(f"{side.name} has answered {bad[:5]}")
    return found


def effort(side: Side, work: Any) -> float:
    """Processor seconds of a side while something is done."""
    before = side.effort()
    asyncio.run(work)
    return side.effort() - before


def per_request(side: Side) -> float:
    """Microseconds of a plain request."""
    spent = effort(side, together(side, PLAIN, AT_ONCE, lambda client: client.ask()))
    return 1e6 * spent / PLAIN


def per_piece(side: Side) -> float:
    """Microseconds of one more piece of a stream, which comes by itself."""

    def streams(pieces: int) -> float:
        work = together(
            side, STREAMS, AT_ONCE, lambda client: client.ask(pieces, stream=True, gap=2)
        )
        return effort(side, work) / STREAMS

    few, many = (streams(pieces) for pieces in PIECES)
    return 1e6 * (many - few) / (PIECES[1] - PIECES[0])


def first_pieces(side: Side, at_once: int) -> tuple[float, float]:
    """Milliseconds to the first piece: median and 99th percentile."""
    count = max(60, 2 * at_once)
    found = asyncio.run(
        together(side, count, at_once, lambda client: client.ask(8, stream=True, gap=20))
    )
    times = sorted(1e3 * one.first for one in found)
    return statistics.median(times), times[min(len(times) - 1, int(0.99 * len(times)))]


def of_a_stream(side: Side) -> float:
    """KiB that one open stream holds."""

    async def held() -> int:
        before = side.memory()
        async with clients(side) as client:
            running = [
                asyncio.create_task(client.ask(8, stream=True, gap=1000)) for _ in range(OPEN)
            ]
            await asyncio.sleep(5)
            after = side.memory()
            await asyncio.gather(*running)
        return after - before

    return asyncio.run(held()) / OPEN / 1024


def saturation(side: Side) -> float:
    """Plain requests a second that a closed loop of 64 clients reaches."""
    began = time.perf_counter()
    count = 1500
    asyncio.run(together(side, count, 64, lambda client: client.ask()))
    return count / (time.perf_counter() - began)


def goodput(side: Side, times: float) -> float:
    """Good answers a second, when so many times what the engine answers comes."""
    rate = times * PLACES / TAKES

    async def rush() -> int:
        async with clients(side) as client:
            running, began = [], time.perf_counter()
            for number in range(int(rate * RUSH)):
                wait = began + number / rate - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                running.append(asyncio.create_task(client.ask(gap=int(1000 * TAKES))))
            found = await asyncio.gather(*running)
        return sum(one.status == 200 and one.whole <= WITHIN for one in found)

    return asyncio.run(rush()) / RUSH


@contextlib.contextmanager
def sides() -> Iterator[tuple[Side, list[Side]]]:
    """The engine over HTTP, and the doors."""
    with contextlib.ExitStack() as stack:
        engine = _side(ENGINE, stack.enter_context(opened("engine")))
        gateway = _side("gateway", stack.enter_context(opened("gateway")))
        inside = stack.enter_context(opened("serve"))
        proxy = stack.enter_context(litellm(engine.url))
        url, key = f"http://127.0.0.1:{inside['port']}/v1", inside["key"]
        in_serve = _of("gateway in Serve", url, key, inside, "gateway")
        with_replica = _of("gateway and replica", url, key, inside, "gateway", "replica")
        bare = _of(
            "bare Serve", f"http://127.0.0.1:{inside['proxied']}/bare", key, inside,
            "proxy", "ingress",
        )  # fmt: skip
        again = Side("gateway again", gateway.url, gateway.key, gateway.processes)
        yield engine, [gateway, again, in_serve, with_replica, bare, proxy]


def _side(name: str, told: dict[str, Any]) -> Side:
    url = f"http://127.0.0.1:{told['port']}/v1"
    return Side(name, url, told["key"], (psutil.Process(told["pid"]),))


def _of(name: str, url: str, key: str, told: dict[str, Any], *whose: str) -> Side:
    return Side(name, url, key, tuple(psutil.Process(told[one]) for one in whose))


def measure(rounds: int) -> dict[str, Any]:
    """Every figure of every side: what was measured in each round."""
    found: dict[str, Any] = {}
    with sides() as (engine, doors):
        for _ in range(2):  # imports, caches and connections are none of the figures
            for side in doors:
                asyncio.run(together(side, 100, AT_ONCE, lambda client: client.ask()))
                asyncio.run(together(side, 16, 8, lambda client: client.ask(8, stream=True)))
        for _ in range(rounds):
            for side in [engine, *doors]:
                if side is not engine:
                    _note(found, "per_request", side, per_request(side))
                    _note(found, "per_piece", side, per_piece(side))
                for at_once in CONCURRENT:
                    median, worst = first_pieces(side, at_once)
                    _note(found, f"first_{at_once}_p50", side, median)
                    _note(found, f"first_{at_once}_p99", side, worst)
        for side in doors:
            _note(found, "memory", side, of_a_stream(side))
            _note(found, "saturation", side, saturation(side))
    for _ in range(rounds):
        for kind in ("queued", "unqueued"):
            with opened(kind) as told:
                side = _side(kind, told)
                for times in (1, 2):
                    _note(found, f"good_at_{times}", side, goodput(side, times))
    return found


def _note(found: dict[str, Any], what: str, side: Side, value: float) -> None:
    found.setdefault(what, {}).setdefault(side.name, []).append(value)


def report(found: dict[str, Any]) -> None:
    """Every figure with its spread; ratios to LiteLLM and to bare Serve; the noise floor."""
    for what, by_side in found.items():
        print(f"\n{what}")
        for name, values in by_side.items():
            low, high = min(values), max(values)
            print(f"  {name:20} {statistics.median(values):10.1f}  ({low:.1f} to {high:.1f})")
    print()
    for what in ("per_request", "per_piece"):
        by_side = {name: statistics.median(v) for name, v in found[what].items()}
        for name in ("gateway", "gateway in Serve", "gateway and replica"):
            over = by_side[name] / by_side["LiteLLM"]
            note = f" (aim {AIM})" if what == "per_request" else ""
            print(f"{what}: {name} / LiteLLM = {over:.2f}{note}")
            print(f"{what}: {name} / bare Serve = {by_side[name] / by_side['bare Serve']:.2f}")
        print(f"{what}: A/A = {by_side['gateway again'] / by_side['gateway']:.2f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found = measure(rounds)
    kept = Path(__file__).parents[1] / ".cache/benchmarks/door.json"
    kept.write_text(json.dumps(found, indent=1))
    report(found)


if __name__ == "__main__":
    main()
