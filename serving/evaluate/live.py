"""A model behind an endpoint that speaks OpenAI's API: asked greedily, a bounded number at a time.

A request that fails for a reason that may pass (no answer, 429, 5xx, a stream that broke off) is
asked again, after as long as the endpoint says; one that is refused for what it says is noted as
not measured. A refused key or an unknown model ends the whole. Nothing is asked beyond the token
budget: each request is counted as the most it can come to until the endpoint has counted it.

A perplexity is of the endpoint's own log-likelihoods, which completions give with `echo` and
`logprobs`. An endpoint that sends none is refused with what it said, and so is a chat: its text
after the template is known to the server alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmops.errors import InputError, LlmopsError, RefusedError, TargetError
from llmops.evaluating import Item, split_prompt
from serving.client import Asked, AskFailed, Endpoint, ask, shared_client
from serving.evaluate.budget import Budget
from serving.evaluate.journal import Journal, Record
from serving.evaluate.tasks import Settings, Task

if TYPE_CHECKING:
    import httpx

TRIES = 5
"""How often one item is asked at most."""
FIRST_WAIT = 1.0
"""Seconds before the second try, where the endpoint says nothing; doubled each time."""
LONGEST_WAIT = 30.0
FATAL = (401, 403, 404)
"""Statuses that no other item would get past."""


@dataclass(frozen=True, slots=True)
class Live:
    """A model behind an endpoint."""

    endpoint: Endpoint
    release: int | None = None
    """Which release of the service must answer; None: whichever has the traffic."""

    @property
    def reached(self) -> Endpoint:
        """The endpoint, asked for the release where one is named."""
        if self.release is None:
            return self.endpoint
        line = self.endpoint.line
        headers = {**line.headers, "llmops-release": str(self.release)}
        return replace(self.endpoint, line=replace(line, headers=headers))

    def document(self) -> dict[str, Any]:
        """What it is, as plain data; never the key."""
        return {
            "kind": "endpoint",
            "url": self.endpoint.url,
            "model": self.endpoint.model,
            "release": self.release,
        }

    def measure(
        self, tasks: Sequence[Task], journal: Journal, settings: Settings, tell: Tell
    ) -> None:
        """Ask what the journal does not know yet.

        Raises:
            InputError: When the key, the model or the kind of question is refused.
            RefusedError: When the token budget is used up.
            TargetError: When nobody answers.
        """
        questions = [question for task in tasks for question in _questions(task)]
        for asked in questions:
            if asked.kind == "likelihood" and asked.item.messages:
                raise InputError(
                    f"the perplexity of {asked.set} cannot be had from an endpoint: line"
                    f" {asked.item.line} is a chat, and the text its template makes is the"
                    " server's",
                    hint="use prompts, or measure the weights",
                )
        self.ask(questions, journal, settings, tell)

    def ask(
        self, questions: Sequence[Question], journal: Journal, settings: Settings, tell: Tell
    ) -> None:
        """Ask those questions that the journal does not know yet.

        Raises:
            InputError, RefusedError, TargetError: As `measure` does.
        """
        wanted = [one for one in questions if one.key not in journal.records]
        if wanted:
            asyncio.run(_Round(self, journal, settings, tell, len(wanted)).run(wanted))


Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask."""

    set: str
    item: Item
    kind: str = "answer"
    """`answer` or `likelihood`."""
    max_tokens: int = 1
    """Tokens of an answer, at most."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Under which the journal knows its outcome."""
        return self.set, self.item.id, self.kind


def _questions(task: Task) -> list[Question]:
    kinds = [k for k, on in (("answer", task.asks), ("likelihood", task.weighs)) if on]
    name, most = task.items.name, task.max_tokens
    return [Question(name, item, kind, most) for item in task.items.items for kind in kinds]


class _Round:
    """The questions of one run. What must end it lets those on their way come home first."""

    def __init__(
        self, live: Live, journal: Journal, settings: Settings, tell: Tell, total: int
    ) -> None:
        self._endpoint = live.reached
        self._release = live.release
        self._journal = journal
        self._settings = settings
        self._tell = tell
        self._total = total
        self._done = 0
        self._end: LlmopsError | None = None
        used = sum(r.prompt_tokens + r.output_tokens for r in journal.records.values())
        self._budget = Budget(settings.token_budget, used)

    async def run(self, wanted: Sequence[Question]) -> None:
        todo = iter(wanted)
        most = min(self._settings.concurrency, self._total)
        async with shared_client(self._endpoint, most) as client, asyncio.TaskGroup() as group:
            for _ in range(most):
                group.create_task(self._serve(client, todo))
        if self._end is not None:
            raise self._end

    async def _serve(self, client: httpx.AsyncClient, todo: Iterator[Question]) -> None:
        while self._end is None and (question := next(todo, None)) is not None:
            path, body = _request(question, self._endpoint.model, self._settings)
            most = body["max_tokens"] + prompt_bound(question.item)
            if not self._budget.reserve(most):
                self._end = self._used_up()
                return
            asked: Asked | None = None
            try:
                asked = await asking(client, self._endpoint, path, body)
                record = _record(question, asked, self._release)
            except AskFailed as failed:
                if is_fatal(failed):
                    self._end = failed.error
                    return
                record = Record(*question.key, error=failed.error.message)
            except LlmopsError as error:
                self._end = error
                return
            finally:
                self._budget.settle(most, asked.sample if asked else None)
            try:
                self._journal.add(record)
            except TargetError as error:  # raised out of here it would come as a group of errors
                self._end = error
                return
            self._done += 1
            self._tell(f"{self._done} of {self._total} questions answered")

    def _used_up(self) -> RefusedError:
        return RefusedError(
            f"the budget of {self._settings.token_budget} tokens may end before the next question:"
            f" {self._budget.used} are used, {self._done} of {self._total} questions are answered",
            hint="what was answered is kept: give a larger budget to go on",
        )


def is_fatal(failed: AskFailed) -> bool:
    """Whether no other question would get past this."""
    return failed.status in FATAL or failed.reason == "nobody answers"


async def asking(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    path: str,
    body: dict[str, Any],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Asked:
    """Ask until there is an answer, or trying again makes no sense.

    Raises:
        AskFailed: The last failure.
    """
    wait = FIRST_WAIT
    for left in reversed(range(TRIES)):
        try:
            return await ask(client, endpoint, path, body)
        except AskFailed as failed:
            if not left or not _may_pass(failed):
                raise
            # Clients that were turned away together must not come back together.
            await sleep(max(failed.retry_after, wait * random.uniform(0.5, 1.0)))  # noqa: S311
            wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError("the last try returns or raises")


def _may_pass(failed: AskFailed) -> bool:
    return failed.status in (0, 408, 429) or failed.status >= 500


def prompt_bound(item: Item) -> int:
    """Tokens of a prompt at most: a byte each, and some for a chat's template."""
    if item.tokens:
        return len(item.tokens)
    if not item.messages:
        return len(item.prompt.encode()) + len("".join(item.references[:1]).encode()) + 2
    return sum(len(turn.content.encode()) + 16 for turn in item.messages) + 64


def _request(question: Question, model: str, settings: Settings) -> tuple[str, dict[str, Any]]:
    common = {
        "model": model,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    item = question.item
    if question.kind == "likelihood":
        prompt: Any = list(item.tokens) if item.tokens else "".join(_split(item))
        # One token must be generated; it is not part of what was measured.
        return "completions", common | {
            "prompt": prompt, "max_tokens": 1, "echo": True, "logprobs": 1
        }  # fmt: skip
    common["max_tokens"] = question.max_tokens
    if item.messages:
        return "chat/completions", common | {"messages": [t.document() for t in item.messages]}
    return "completions", common | {"prompt": item.prompt}


def _record(question: Question, asked: Asked, release: int | None) -> Record:
    name, item, kind = question.key
    if release is not None and asked.release not in (None, release):
        raise TargetError(
            f"release {release} was to answer, and release {asked.release} did",
            hint="see `llmops status`: the release may not be live any more",
            serving=True,
        )
    sample = asked.sample
    counted = (sample.prompt_tokens, sample.output_tokens) if sample else (0, 0)
    if kind == "likelihood":
        nll, tokens = _likelihood(question.item, asked)
        return Record(
            name, item, kind, nll=nll, tokens=tokens, prompt_tokens=counted[0],
            output_tokens=counted[1], release=asked.release,
        )  # fmt: skip
    return Record(
        name, item, kind,
        text=asked.text,
        finish=asked.finish,
        prompt_tokens=counted[0],
        output_tokens=counted[1],
        ttft=sample.ttft if sample else None,
        tpot=sample.tpot if sample else None,
        latency=asked.latency,
        release=asked.release,
    )  # fmt: skip


def _likelihood(item: Item, asked: Asked) -> tuple[float, int]:
    """Negative log-likelihood and tokens of the reference, from an echoed completion.

    A token belongs to the reference when it ends behind the border.
    """
    values: list[float | None] = []
    texts: list[str] = []
    for event in asked.events:
        for choice in event.get("choices") or ():
            said = choice.get("logprobs") or {}
            values += said.get("token_logprobs") or ()
            texts += said.get("tokens") or ()
    if len(values) < 2 or len(values) != len(texts):
        raise InputError(
            "the endpoint gives no log-likelihoods of a prompt's tokens (echo with logprobs), so"
            " it has no perplexity",
            hint="measure the weights instead",
        )
    if item.tokens:
        chosen = [v for v, on in zip(values, item.learnt, strict=False) if on]
    else:
        ends, at = [], 0
        for text in texts[:-1]:
            at += len(text)
            ends.append(at)
        prompt, _ = _split(item)
        border = max(0, len(prompt) + ends[-1] - len("".join(_split(item))))
        chosen = [v for v, end in zip(values, ends, strict=False) if end > border]
    known = [value for value in chosen if value is not None]
    return -sum(known), len(known)


def _split(item: Item) -> tuple[str, str]:
    return split_prompt(item.prompt, item.references[0])
