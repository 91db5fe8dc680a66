"""Answers as an engine's would look, made up: no model, no tokenizer but the one it is given.

It counts what it was asked and what it says, gives a log-probability for each token, streams, and
takes as long as it is told. It leaves out sampling, stop strings, tools, constrained output,
batching, full queues, a real chat template (each message costs `FRAME` tokens more than its text),
and refuses nothing. The text says which release made it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.gateway import ReleaseRef, UpstreamGone, UpstreamRequest, UpstreamResponse
from tests.kubernetes.standin.serve import Replica

FRAME = 3
DEFAULT_TOKENS = 16
LOGPROB = -0.5


@dataclass
class Latency:
    """How long answers take, in seconds; may be changed while they are made."""

    first: float = 0.0
    """Until the first token."""
    token: float = 0.0
    """For each further one."""
    slow: dict[int, float] = field(default_factory=dict)
    """How much longer the first one takes, by the number of a release."""


@dataclass
class Tally:
    """What one gateway has sent to one release."""

    sent: int = 0
    finished: int = 0
    """Whole answers."""
    stopped: int = 0
    """Answers that the gateway stopped, because its client had gone."""
    died: int = 0
    """Answers that ended with the pod they were made in."""
    refused: int = 0
    """Requests for which the release had no replica."""


class Finds(Protocol):
    def __call__(self, release: ReleaseRef) -> Replica | None: ...


@dataclass(frozen=True)
class Asked:
    """What of a request matters here."""

    chat: bool
    prompt_tokens: int
    tokens: int
    choices: int
    logprobs: bool
    stream: bool
    usage: bool
    model: str

    @classmethod
    def of(cls, request: UpstreamRequest, count: Callable[[str], int]) -> Asked:
        body = json.loads(request.body)
        chat = request.path.endswith("/chat/completions")
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_TOKENS
        prompts = 1 if chat or not _several(body["prompt"]) else len(body["prompt"])
        return cls(
            chat=chat,
            prompt_tokens=_count_chat(body, count) if chat else _count(body["prompt"], count),
            tokens=int(limit),
            choices=int(body.get("n") or 1) * prompts,
            logprobs=body.get("logprobs") not in (None, False),
            stream=bool(body.get("stream")),
            usage=bool((body.get("stream_options") or {}).get("include_usage")),
            model=str(body.get("model")),
        )


class Engine:
    """The Upstream of one gateway: finds a replica of the release, and answers in its place.

    Args:
        find: A replica that takes a request now; None when there is none.
        count: How many tokens a text has.
        latency: How long answers take.
        tally: Where to count, by release.
    """

    def __init__(
        self,
        find: Finds,
        count: Callable[[str], int],
        latency: Latency,
        tally: Callable[[ReleaseRef], Tally],
    ) -> None:
        self._find = find
        self._count = count
        self._latency = latency
        self._tally = tally

    async def send(self, release: ReleaseRef, request: UpstreamRequest) -> UpstreamResponse:
        """Begin an answer. Raises UpstreamGone when no replica of the release is there."""
        tally = self._tally(release)
        replica = self._find(release)
        if replica is None:
            tally.refused += 1
            raise UpstreamGone(f"release {release.number} has no replica")
        tally.sent += 1
        asked = Asked.of(request, self._count)
        kind = "text/event-stream; charset=utf-8" if asked.stream else "application/json"
        body = self._body(asked, release, replica, tally)
        return UpstreamResponse(200, [("content-type", kind)], body)

    async def _body(
        self, asked: Asked, release: ReleaseRef, replica: Replica, tally: Tally
    ) -> AsyncGenerator[bytes, None]:
        replica.in_flight += 1
        try:
            words = []
            async for word in self._words(asked, release, replica):
                words.append(word)
                if asked.stream:
                    yield _event(_piece(asked, word))
            for piece in _ending(asked, words):
                yield piece
            tally.finished += 1
        except UpstreamGone:
            tally.died += 1
            raise
        except (GeneratorExit, asyncio.CancelledError):
            tally.stopped += 1
            raise
        finally:
            replica.in_flight -= 1

    async def _words(
        self, asked: Asked, release: ReleaseRef, replica: Replica
    ) -> AsyncGenerator[str, None]:
        for number in range(asked.tokens):
            first = self._latency.first + self._latency.slow.get(release.number, 0.0)
            await asyncio.sleep(self._latency.token if number else first)
            if replica.dead:
                raise UpstreamGone("the replica's pod is gone")
            yield f" r{release.number}.{number}"


def _several(prompt: Any) -> bool:
    return isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], (str, list))


def _count(prompt: Any, count: Callable[[str], int]) -> int:
    if isinstance(prompt, str):
        return count(prompt)
    return sum(_count(each, count) for each in prompt) if _several(prompt) else len(prompt)


def _count_chat(body: dict[str, Any], count: Callable[[str], int]) -> int:
    texts: Iterable[Any] = (message.get("content") or "" for message in body["messages"])
    return sum(count(text if isinstance(text, str) else json.dumps(text)) + FRAME for text in texts)


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _head(asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": "made-up", "object": kind, "created": 0, "model": asked.model}


def _usage(asked: Asked) -> dict[str, int]:
    made = asked.tokens * asked.choices
    return {
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": made,
        "total_tokens": asked.prompt_tokens + made,
    }


def _piece(asked: Asked, word: str) -> dict[str, Any]:
    kind = "chat.completion.chunk" if asked.chat else "text_completion"
    choices = [
        {"index": index, "finish_reason": None}
        | ({"delta": {"role": "assistant", "content": word}} if asked.chat else {"text": word})
        | ({"logprobs": _logprobs(asked, [word])} if asked.logprobs else {})
        for index in range(asked.choices)
    ]
    return {**_head(asked, kind), "choices": choices}


def _ending(asked: Asked, words: list[str]) -> Iterator[bytes]:
    if not asked.stream:
        yield json.dumps(_whole(asked, words)).encode()
        return
    last = _piece(asked, "")
    for choice in last["choices"]:
        choice.pop("logprobs", None)
        choice["finish_reason"] = "length"
    yield _event(last)
    if asked.usage:
        yield _event({**last, "choices": [], "usage": _usage(asked)})
    yield b"data: [DONE]\n\n"


def _whole(asked: Asked, words: list[str]) -> dict[str, Any]:
    text = "".join(words)
    said = {"message": {"role": "assistant", "content": text}} if asked.chat else {"text": text}
    logprobs = _logprobs(asked, words) if asked.logprobs else None
    choices = [
        {"index": index, "finish_reason": "length", "logprobs": logprobs, **said}
        for index in range(asked.choices)
    ]
    kind = "chat.completion" if asked.chat else "text_completion"
    return {**_head(asked, kind), "choices": choices, "usage": _usage(asked)}


def _logprobs(asked: Asked, words: list[str]) -> dict[str, Any]:
    if asked.chat:
        return {
            "content": [
                {"token": w, "logprob": LOGPROB, "bytes": None, "top_logprobs": []} for w in words
            ]
        }
    return {
        "tokens": words,
        "token_logprobs": [LOGPROB] * len(words),
        "top_logprobs": [{word: LOGPROB} for word in words],
        "text_offset": [0] * len(words),
    }
