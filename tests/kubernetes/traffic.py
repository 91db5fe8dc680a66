"""A few steady clients of an endpoint, whole answers and streams, and what each of them got.

Each request takes a connection of its own to one of the pods that the Service leads to, as a
node's proxy would have it. (The API server's proxy is not used: it cuts a stream now and then, of a
service that nobody touches.) As many ask at once as there are workers: the load is bounded, and a
slow machine only makes it less. An answer says itself which release made it,
word by word; the header says it once more.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.kubernetes.site import Site

TOKENS = 12
SAYS = re.compile(r"r(\d+)\.(\d+)")


@dataclass(frozen=True)
class Answer:
    """What became of one request. `began` and `ended` in seconds of one steady clock."""

    began: float
    ended: float
    stream: bool
    status: int
    release: int
    """As the header says; 0 without one."""
    words: tuple[tuple[int, int], ...]
    """Release and number of each word of the text."""
    ending: str
    """Why it is no whole answer; empty when it is one."""

    @property
    def problem(self) -> str:
        """What is wrong with it; empty when one release gave it whole."""
        whole = tuple((self.release, number) for number in range(TOKENS))
        if self.ending or self.status != httpx.codes.OK:
            kind = "a stream" if self.stream else "an answer"
            return f"{kind} after {self.ended - self.began:.2f} s: {self.status} {self.ending}"
        return "" if self.words == whole else f"release {self.release} said {self.words}"


@dataclass
class Traffic:
    """Asks from when it is entered until it is left."""

    site: Site
    key: str = field(repr=False)
    service: str = "chat"
    workers: int = 4
    pause: float = 0.05
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 1,), daemon=True)
            for number in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a request never ended"

    @property
    def problems(self) -> list[str]:
        """Requests that no release answered whole."""
        return [answer.problem for answer in self.answers if answer.problem]

    @property
    def releases(self) -> list[int]:
        """The releases that answered, in the order in which their first answers began."""
        ordered = sorted(self.answers, key=lambda answer: answer.began)
        return list(dict.fromkeys(answer.release for answer in ordered if not answer.problem))

    def went_back(self) -> list[tuple[Answer, Answer]]:
        """Answers by an older release than one that had ended before they were asked for."""
        good = [answer for answer in self.answers if not answer.problem]
        return [
            (before, after)
            for before in good
            for after in good
            if before.ended < after.began and after.release < before.release
        ]

    def _run(self, stream: bool) -> None:
        while not self._stop.is_set():
            self.answers.append(self._ask(stream))
            self._stop.wait(self.pause)

    def _ask(self, stream: bool) -> Answer:
        began = time.monotonic()
        try:
            with httpx.Client(trust_env=False, timeout=30) as client:
                status, release, words, ending = self._answer(client, stream)
        except httpx.HTTPError as error:
            status, release, words, ending = 0, 0, [], repr(error)
        return Answer(began, time.monotonic(), stream, status, release, tuple(words), ending)

    def _answer(
        self, client: httpx.Client, stream: bool
    ) -> tuple[int, int, list[tuple[int, int]], str]:
        body = {"model": self.service, "prompt": "one two", "max_tokens": TOKENS, "stream": stream}
        doors = self.site.endpoints(self.service)
        if not doors:
            return httpx.codes.SERVICE_UNAVAILABLE, 0, [], "the Service leads nowhere"
        url = f"{random.choice(doors)}/completions"
        headers = {"authorization": f"Bearer {self.key}"}
        with client.stream("POST", url, json=body, headers=headers) as answer:
            text = answer.read().decode()
            release = int(answer.headers.get("x-llmops-release", 0))
        if answer.status_code != httpx.codes.OK:
            return answer.status_code, release, [], text[:300]
        said, ending = _streamed(text) if stream else _whole(text)
        return answer.status_code, release, _words(said), ending


def _whole(text: str) -> tuple[str, str]:
    return json.loads(text)["choices"][0]["text"], ""


def _streamed(text: str) -> tuple[str, str]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    ending = "" if lines and lines[-1] == "[DONE]" else f"the stream broke off: {text[-300:]}"
    documents: Iterable[Any] = (json.loads(line) for line in lines if line.startswith("{"))
    return "".join(c["text"] for d in documents for c in d.get("choices", [])), ending


def _words(said: str) -> list[tuple[int, int]]:
    return [(int(release), int(number)) for release, number in SAYS.findall(said)]
