"""Throughput and time to first token through the endpoint, against bare vLLM.

    .venv/bin/python -m benchmarks.throughput [ROUNDS]

Both servers are up at once, and asked in turn (bare, llmops, bare again as the noise floor), so
that what else happens on the machine happens to all. Every default of llmops is on. Greedy answers
of a fixed length, streamed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

import httpx

from benchmarks.sides import Side, bare, deployed, home, model_directory, save, spread

CLIENTS = (1, 4, 8)
TOKENS = 64
REQUESTS = 3
"""Requests of each client in one measurement."""

AIM_THROUGHPUT = 0.95
AIM_TTFT = 1.10


async def _one(client: httpx.AsyncClient, side: Side, number: int) -> tuple[float, int]:
    """Ask once; returns the time to the first token, and how many came."""
    body = {
        "model": side.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "messages": [{"role": "user", "content": f"Tell me about the number {number}."}],
    }
    headers = {"authorization": f"Bearer {side.key}"}
    began, first, tokens = time.monotonic(), 0.0, 0
    async with client.stream(
        "POST", f"{side.url}/chat/completions", json=body, headers=headers
    ) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not first and '"content":"' in line and '"content":""' not in line:
                first = time.monotonic() - began
            if '"usage":{' in line:
                tokens = json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"]
    return first, tokens


async def _load(side: Side, clients: int) -> tuple[float, list[float]]:
    """Tokens per second over all clients, and the times to first token."""
    firsts: list[float] = []
    total = 0

    async def client(number: int) -> None:
        nonlocal total
        async with httpx.AsyncClient(timeout=120) as http:
            for request in range(REQUESTS):
                first, tokens = await _one(http, side, 100 * number + request)
                firsts.append(first)
                total += tokens

    began = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return total / (time.monotonic() - began), firsts


def main() -> None:
    """Measure, print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    kept: dict[str, dict[str, list[float]]] = {}
    with home() as place, bare(model_directory(place)) as plain, deployed(place) as ours:
        order = (("bare", plain), ("llmops", ours), ("bare again", plain))
        for side in (plain, ours):
            asyncio.run(_load(side, 2))
        for clients in CLIENTS:
            for number in range(rounds):
                for name, side in order[:: 1 if number % 2 else -1]:
                    rate, firsts = asyncio.run(_load(side, clients))
                    entry = kept.setdefault(f"{clients} {name}", {"rate": [], "ttft": []})
                    entry["rate"].append(rate)
                    entry["ttft"].append(statistics.median(firsts))
        save("throughput", kept)
    for clients in CLIENTS:
        _print(kept, clients)


def _print(kept: dict[str, dict[str, list[float]]], clients: int) -> None:
    def middle(name: str, what: str) -> float:
        return statistics.median(kept[f"{clients} {name}"][what])

    print(f"{clients} client(s):")
    for name in ("bare", "llmops", "bare again"):
        entry = kept[f"{clients} {name}"]
        millis = [1000 * value for value in entry["ttft"]]
        print(f"  {name:10}  {spread(entry['rate'])} tokens/s   TTFT {spread(millis)} ms")
    rate = middle("llmops", "rate") / middle("bare", "rate")
    floor = middle("bare again", "rate") / middle("bare", "rate")
    ttft = middle("llmops", "ttft") / middle("bare", "ttft")
    ttft_floor = middle("bare again", "ttft") / middle("bare", "ttft")
    aim = f", aim at most {AIM_TTFT}" if clients == 1 else ""
    print(f"  throughput ratio {rate:.3f} (aim at least {AIM_THROUGHPUT}; A/A {floor:.3f})")
    print(f"  TTFT ratio {ttft:.3f} (A/A {ttft_floor:.3f}{aim})")


if __name__ == "__main__":
    main()
