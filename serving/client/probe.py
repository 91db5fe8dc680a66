"""Prove that a release generates: requests that only a live model of this release can answer.

What a ping believes, this does not. Each prompt holds a nonce that no cache has seen; the engine
must count its tokens as the model's own tokenizer does, generate as many as were asked for with a
log-probability for each, and the answer must carry the release's number. Two prompts of different
length are asked, so that one answer for all is found out as well. An echo server, an old release,
another model, a cache and a dead engine each fail one of these.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from llmops.errors import TargetError
from serving.client.line import DIRECT, Line

TOKENS = 6
"""Tokens asked for: enough that counts must add up, little enough to take a moment."""

TIMEOUT = 120.0
"""Seconds for an answer; the first one of an engine warms it up."""

MOST_BYTES = 1_000_000
"""Bytes of an answer that are read: a hundred times what a completion of this size has."""

MISCOUNTED = "it counted"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, headers with lower-case names, and the body."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Where to ask, as whom, and which release of which model must answer."""

    url: str
    key: str
    service: str
    release: int
    model: Path
    tokens: int = TOKENS
    """How many to ask for; fewer where the service allows no request so many."""
    timeout: float = TIMEOUT
    """Seconds for each answer, from the request to its last byte."""
    line: Line = DIRECT
    """How the endpoint is reached."""
    named: str = ""
    """The model name of one of its adapters, that it is asked and must answer under; empty for the
    service's own."""

    def ask(self) -> None:
        """Ask for fresh generations.

        Raises:
            TargetError: When an answer is not one that this release would give.
        """
        for prompt, tokens in _prompts(lambda text: count_tokens(self.model, text)):
            answer = self._post(prompt)
            problem = find_problem(answer, self.release, tokens, self.tokens, self.named)
            if problem.startswith(MISCOUNTED):
                # Some models' settings have the engine add a token that the file alone does not.
                settled = count_tokens_as_engine(self.model, prompt)
                problem = find_problem(answer, self.release, settled, self.tokens, self.named)
            if problem:
                which = f"{self.release} as {self.named}" if self.named else str(self.release)
                raise TargetError(f"release {which} did not prove itself: {problem}")

    def _post(self, prompt: str) -> Answer:
        try:
            return self._read(prompt)
        except httpx.TimeoutException as error:
            raise TargetError(
                f"the endpoint did not answer the probe within {self.timeout:g} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = self._clean(str(error) or type(error).__name__)
            raise TargetError(f"the endpoint did not answer the probe: {what}") from error

    def _read(self, prompt: str) -> Answer:
        end = time.monotonic() + self.timeout
        headers = {**self.line.carry(self.key), "llmops-release": str(self.release)}
        parts: list[bytes] = []
        # A proxy of the environment's must not see the key, and cannot reach loopback.
        with (
            httpx.Client(trust_env=False, timeout=self.timeout, verify=self.line.verify) as client,
            client.stream(
                "POST",
                f"{self.url}/completions",
                json=_request(self.named or self.service, prompt, self.tokens),
                headers=headers,
                extensions=self.line.extensions,
            ) as answer,
        ):
            for part in answer.iter_bytes():
                parts.append(part)
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("the answer does not end")
                if sum(map(len, parts)) > MOST_BYTES:
                    break
            body = b"".join(parts)[:MOST_BYTES].decode(errors="replace")
            seen = {name: self._clean(value) for name, value in answer.headers.items()}
            return Answer(answer.status_code, seen, self._clean(body))

    def _clean(self, text: str) -> str:
        """`text` without the key: a server may send back what it was sent, and problems are told
        and recorded."""
        return text.replace(self.key, "[key]") if self.key else text


def _prompts(count: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """Two prompts that no one has seen, and their tokens: never as many.

    They are short: with the answer they must fit into the least context there is, 16 tokens.
    """
    first = secrets.token_hex(4)
    tokens = count(first)
    yield first, tokens
    second, length = secrets.token_hex(3), 6
    while count(second) == tokens and length:
        second, length = secrets.token_hex(3)[:length], length - 1
    yield second, count(second)


def _request(model: str, prompt: str, tokens: int) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "logprobs": 1,
    }


def count_tokens(model: Path, text: str) -> int:
    """How many tokens the model's own tokenizer makes of `text`, by its `tokenizer.json`."""
    file = model / "tokenizer.json"
    if not file.exists():
        return count_tokens_as_engine(model, text)
    from tokenizers import Tokenizer

    return len(Tokenizer.from_file(str(file)).encode(text).ids)


def count_tokens_as_engine(model: Path, text: str) -> int:
    """The same as the engine does it, with all of the tokenizer's settings: takes seconds.

    Raises:
        TargetError: When the model has no tokenizer that can be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        return len(tokenizer(text).input_ids)
    except Exception as error:  # whatever a stranger's files make of the library
        raise TargetError(
            f"the tokenizer in {model} cannot be loaded: {type(error).__name__}",
            hint="check the model's tokenizer files",
        ) from error


def find_problem(
    answer: Answer, release: int, prompt_tokens: int, tokens: int = TOKENS, named: str = ""
) -> str:
    """What is wrong with a probe's answer; empty when nothing is. Pure."""
    if answer.status != 200:
        return f"HTTP {answer.status}: {answer.body[:300]}"
    carried = answer.headers.get("x-llmops-release", "none")
    if carried != str(release):
        return f"the answer came from release {carried[:40]}"
    try:
        document = json.loads(answer.body)
        usage, choice = document["usage"], document["choices"][0]
        counts = [usage[f"{name}_tokens"] for name in ("prompt", "completion", "total")]
        logprobs = choice["logprobs"]["token_logprobs"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return (
            f"the answer is not a completion with usage and log-probabilities: {answer.body[:200]}"
        )
    if named and document.get("model") != named:
        return f"the answer came from the model {document.get('model')!s:.40}"
    return _find_miscount(counts, logprobs, prompt_tokens, tokens)


def _find_miscount(counts: list[Any], logprobs: Any, prompt_tokens: int, tokens: int) -> str:
    prompt, generated, total = counts
    if not _is(prompt, prompt_tokens):
        return f"{MISCOUNTED} {prompt!s:.20} prompt tokens, not {prompt_tokens}"
    if not _is(generated, tokens):
        return f"it generated {generated!s:.20} tokens, not {tokens}"
    if not isinstance(logprobs, list) or len(logprobs) != tokens:
        return f"it gave log-probabilities for other than {tokens} tokens"
    if not _is(total, prompt_tokens + tokens):
        return f"its token counts do not add up: {prompt} + {generated} = {total!s:.20}"
    if not all(_is_logprob(value) for value in logprobs):
        return "its log-probabilities are not log-probabilities"
    return ""


def _is(value: Any, count: int) -> bool:
    return type(value) is int and value == count


def _is_logprob(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and -1e6 <= value <= 0  # no NaN, no infinity
