"""What a key may still use: asked before a request runs, told to its client, and settled after it.

The key of llmops' own commands has no limits: a key that used up a service's could else keep its
health from being seen. What a request is charged that did not end:

- nothing, when no engine took it, the engine refused it, or its replica was lost;
- of a stream that was cut or left, what the engine had counted by then;
- of any other answer whose client left, what was set aside for it: nobody knows how far it was.
"""

from __future__ import annotations

import math
from dataclasses import replace

from serving.gateway.answers import Refusal
from serving.gateway.config import Limits
from serving.gateway.exchange import Exchange
from serving.gateway.key_set import Key
from serving.gateway.limiter import (
    Ask,
    Denied,
    Limiter,
    LimiterGone,
    Reason,
    Standing,
    Tokens,
    rate_limit_headers,
)
from serving.gateway.metrics import Metrics

MESSAGES: dict[Reason, str] = {
    "requests_per_minute": "this key has started as many requests as it may in a minute",
    "tokens_per_minute": "this key has used as many tokens as it may in a minute",
    "concurrent_requests": "this key has as many requests in flight as it may",
    "tokens_per_day": "this key has used as many tokens as it may in a day of UTC",
    "usd_per_month": "this key has spent as much as it may in a month of UTC",
}
ANSWERED = (0, 200, 499)
"""Statuses of an exchange that an engine may have worked for: 0 is none yet."""


class Allowance:
    """Asks a limiter for the gateway's requests.

    Args:
        limiter: Who counts.
        metrics: Where refusals are counted.
    """

    def __init__(self, limiter: Limiter, metrics: Metrics) -> None:
        self._limiter = limiter
        self._metrics = metrics

    async def admit(self, exchange: Exchange, key: Key, service: str, limits: Limits) -> None:
        """Let a request in: it counts as one, and has a place until it is settled.

        Raises:
            Refusal: 429 when its key asks too often or has too many in flight; 503 when nobody
                can say.
        """
        ask = Ask(exchange.id, f"{service}/{key.name}", limits.bounds)
        try:
            answer = await self._limiter.admit(ask)
        except LimiterGone as error:
            raise _gone() from error
        if isinstance(answer, Standing):
            exchange.ask = ask
        self._take(exchange, answer)

    async def reserve(self, exchange: Exchange, limits: Limits, most: Tokens) -> None:
        """Set aside what a request can take at most, by the prices in `limits`: those of the
        service that it is for.

        Raises:
            Refusal: 429 when its key has not as much left, 400 when it never could have; 503 when
                nobody can say.
        """
        if exchange.ask is None:
            return
        bounds = replace(
            exchange.ask.bounds, input_usd=limits.input_usd, output_usd=limits.output_usd
        )
        ask = replace(exchange.ask, bounds=bounds)
        exchange.ask, exchange.most = ask, most
        if not ask.bounds.of_tokens:
            return
        try:
            answer = await self._limiter.reserve(ask, most)
        except LimiterGone as error:
            raise _gone() from error
        self._take(exchange, answer)

    def settle(self, exchange: Exchange) -> None:
        """End a request, however it ended."""
        if exchange.ask is not None:
            self._limiter.settle(exchange.ask, used(exchange))
            exchange.ask = None

    def _take(self, exchange: Exchange, answer: Standing | Denied) -> None:
        standing = answer.standing if isinstance(answer, Denied) else answer
        exchange.told = rate_limit_headers(standing)
        if isinstance(answer, Denied):
            name = exchange.key.name if exchange.key else ""
            self._metrics.limited.labels(exchange.service or "", name, answer.reason).inc()
            raise _refusal(answer, exchange.most)


def used(exchange: Exchange) -> Tokens | None:
    """What a request is charged; None for what was set aside."""
    tally = exchange.tally
    if tally.counted:
        return Tokens(tally.prompt_tokens, tally.completion_tokens)
    if not exchange.asked or exchange.status not in ANSWERED:
        return Tokens()
    if exchange.streams:
        return Tokens(exchange.most.read, tally.completion_tokens)
    return None


def _refusal(denied: Denied, most: Tokens) -> Refusal:
    reason = denied.reason
    if denied.retry_after is None:
        return Refusal(
            400,
            reason,
            f"this request may take {most.read} tokens to read and {most.generated} to generate,"
            f" more than the key's {reason}: shorten it, or lower 'max_tokens'",
        )
    return Refusal(
        429,
        reason,
        MESSAGES[reason],
        kind="requests" if "requests" in reason else "tokens",
        headers=(("retry-after", str(max(1, math.ceil(denied.retry_after)))),),
    )


def _gone() -> Refusal:
    return Refusal(
        503,
        "limits_unknown",
        "the limits of this key cannot be looked up now; try again",
        kind="server_error",
        headers=(("retry-after", "2"),),
    )
