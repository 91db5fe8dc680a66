"""Prove that a release generates: a request that only a live model of this release can answer.

What a ping believes, this does not. The prompt holds a nonce that no cache has seen; the engine
must count its tokens as the model's own tokenizer does, generate as many as were asked for with a
log-probability for each, and the answer must carry the release's number. An echo server, an old
release, another model and a dead engine each fail one of these.
"""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from llmops.errors import TargetError

TOKENS = 6
"""Tokens asked for: enough that counts must add up, little enough to take a moment."""

TIMEOUT = 120.0
"""Seconds for the answer; the first one of an engine warms it up."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: where to ask, as whom, and what its answer must be like."""

    url: str
    key: str
    service: str
    release: int
    model: Path

    def ask(self) -> None:
        """Ask for a fresh generation.

        Raises:
            TargetError: When the answer is not one that this release would give.
        """
        prompt = f"{secrets.token_hex(12)} is a number. After it comes"
        try:
            answer = httpx.post(
                f"{self.url}/completions",
                json=_request(self.service, prompt),
                headers={
                    "authorization": f"Bearer {self.key}",
                    "llmops-release": str(self.release),
                },
                timeout=TIMEOUT,
            )
        except httpx.HTTPError as error:
            raise TargetError(f"the endpoint did not answer the probe: {error}") from error
        problem = find_problem(
            answer.status_code,
            dict(answer.headers),
            answer.text,
            release=self.release,
            prompt_tokens=count_tokens(self.model, prompt),
        )
        if problem:
            raise TargetError(f"release {self.release} did not prove itself: {problem}")


def _request(service: str, prompt: str) -> dict[str, Any]:
    return {
        "model": service,
        "prompt": prompt,
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "logprobs": 1,
    }


def count_tokens(model: Path, text: str) -> int:
    """How many tokens the model's own tokenizer makes of `text`."""
    from tokenizers import Tokenizer

    return len(Tokenizer.from_file(str(model / "tokenizer.json")).encode(text).ids)


def find_problem(
    status: int, headers: dict[str, str], body: str, *, release: int, prompt_tokens: int
) -> str:
    """What is wrong with a probe's answer; empty when nothing is. Pure."""
    if status != 200:
        return f"HTTP {status}: {body[:300]}"
    carried = headers.get("x-llmops-release", "none")
    if carried != str(release):
        return f"the answer came from release {carried}"
    try:
        document = json.loads(body)
        usage, choice = document["usage"], document["choices"][0]
        logprobs = choice["logprobs"]["token_logprobs"]
    except (ValueError, KeyError, IndexError, TypeError):
        return f"the answer is not a completion with usage and log-probabilities: {body[:200]}"
    if usage.get("prompt_tokens") != prompt_tokens:
        return f"it counted {usage.get('prompt_tokens')} prompt tokens, not {prompt_tokens}"
    if usage.get("completion_tokens") != TOKENS or len(logprobs) != TOKENS:
        return f"it generated {usage.get('completion_tokens')} tokens, not {TOKENS}"
    if usage.get("total_tokens") != prompt_tokens + TOKENS:
        return f"its token counts do not add up: {usage}"
    if not all(isinstance(p, float) and math.isfinite(p) and p <= 0 for p in logprobs):
        return "its log-probabilities are not log-probabilities"
    return ""
