"""Load an endpoint and measure it: a closed loop of clients, each with one request at a time.

Completions, not chats, so that a model without a chat template can be measured too. Every prompt
is another one, so that no prefix cache answers, and every answer has the same length
(`ignore_eos`). A request that fails is counted by its reason, and never asked again or left out.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from llmops.errors import InputError, TargetError
from serving.client.asking import AskFailed, ask, shared_client
from serving.client.endpoint import Endpoint
from serving.client.figures import Figures, Sample, sum_up

MOST_CLIENTS = 1024
"""Each holds a connection."""
MOST_REQUESTS = 1_000_000
MOST_TOKENS = 10_000_000
"""Of a prompt or an answer: more than any context."""
WARM_UP_WORDS = 32
"""Words of the warm-up's prompt, at most: enough to learn how many tokens a word has."""

# Common words, which most vocabularies hold as one token each with the space before them.
WORDS = (
    "time year people way day man thing woman life child world school state family student group"
    " country problem hand part place case week company system program question work government"
    " number night point home water room mother area money story fact month lot right study book"
    " eye job word business issue side kind head house service friend father power hour game line"
    " end member law car city community name"
).split()


def bench(
    endpoint: Endpoint,
    *,
    clients: int,
    requests: int,
    prompt_tokens: int,
    max_tokens: int,
    progress: Callable[[int, int], None],
) -> Figures:
    """Load `endpoint` and measure it; one warm-up request comes before and is not counted.

    Args:
        endpoint: What to load.
        clients: Requests at a time.
        requests: Requests in all, shared by the clients.
        prompt_tokens: Tokens of each prompt, nearly: words are sent, as many as the tokens of the
            warm-up's words suggest. The figures tell what the engine counted.
        max_tokens: Tokens of each answer.
        progress: Called with the requests that have ended and their number in all.

    Raises:
        InputError: When a number is out of bounds, or the warm-up is refused.
        TargetError: When the warm-up fails: there is nothing to measure.
    """
    for name, value, most in (
        ("clients", clients, MOST_CLIENTS),
        ("requests", requests, MOST_REQUESTS),
        ("prompt_tokens", prompt_tokens, MOST_TOKENS),
        ("max_tokens", max_tokens, MOST_TOKENS),
    ):
        if not 1 <= value <= most:
            raise InputError(f"{name} must be from 1 to {most}, found {value}")
    load = _Load(endpoint, min(clients, requests), requests, prompt_tokens, max_tokens, progress)
    return asyncio.run(load.run())


@dataclass
class _Load:
    """One run: what is asked, and what has come of it so far."""

    endpoint: Endpoint
    clients: int
    requests: int
    prompt_tokens: int
    max_tokens: int
    progress: Callable[[int, int], None]
    # Prompts of an earlier run are in the prefix cache, so each run has its own.
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self) -> Figures:
        async with shared_client(self.endpoint, self.clients) as client:
            words = min(self.prompt_tokens, WARM_UP_WORDS)
            try:
                warm = await _measure(client, self.endpoint, self._body("warm-up", words))
            except AskFailed as failed:
                raise failed.error from failed
            words = max(1, round(self.prompt_tokens * words / max(1, warm.prompt_tokens)))
            todo = iter(range(self.requests))
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(self.clients):
                    group.create_task(self._work(client, todo, words))
            duration = time.perf_counter() - began
        return sum_up(self.samples, self.failures, clients=self.clients, duration=duration)

    async def _work(self, client: httpx.AsyncClient, todo: Iterator[int], words: int) -> None:
        for number in todo:
            try:
                body = self._body(str(number), words)
                self.samples.append(await _measure(client, self.endpoint, body))
            except AskFailed as failed:
                self.failures.append(failed.reason)
            self.progress(len(self.samples) + len(self.failures), self.requests)

    def _body(self, name: str, words: int) -> dict[str, Any]:
        pick = random.Random(f"{self.nonce}-{name}")  # noqa: S311 - varies prompts, guards nothing
        return {
            "model": self.endpoint.model,
            "prompt": " ".join(pick.choices(WORDS, k=words)),
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


async def _measure(client: httpx.AsyncClient, endpoint: Endpoint, body: dict[str, Any]) -> Sample:
    """Ask once, and measure the answer.

    Raises:
        AskFailed: When there was no whole answer whose tokens were counted.
    """
    asked = await ask(client, endpoint, "completions", body, keep=False)
    if asked.sample is None:
        what = "the answer does not tell its tokens"
        raise AskFailed(what, TargetError(f"{what}: there is nothing to measure"))
    return asked.sample
