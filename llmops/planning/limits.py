"""From what the spec says of limits to what the gateway enforces. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from llmops.planning.bounds import KeyBounds, Limits
from llmops.planning.sizing import Size
from llmops.spec import Deployment


def planned_limits(deployment: Deployment, size: Size) -> Limits:
    """The limits of each key, and how much a replica is given at once.

    That is as much as the engine batches, so that what waits does so where keys take turns, and not
    in the engine, which knows no keys; and no less than scaling aims at.
    """
    security, scaling = deployment.security, deployment.scaling
    prices = security.prices
    at_once = max(size.batch.sequences, scaling.target_in_flight)
    return Limits(
        requests_per_minute=security.requests_per_minute,
        max_body=int(security.max_body),
        max_tokens=min(security.max_tokens, size.context),
        max_choices=security.max_choices,
        tokens_per_minute=security.tokens_per_minute,
        concurrent_requests=security.concurrent_requests,
        tokens_per_day=security.tokens_per_day,
        usd_per_month=security.usd_per_month,
        input_usd=prices.input_usd if prices else None,
        output_usd=prices.output_usd if prices else None,
        per_key=_per_key(deployment, size.context),
        in_flight=scaling.max_in_flight or at_once,
    )


def _per_key(deployment: Deployment, context: int) -> Mapping[str, KeyBounds]:
    return {
        name: KeyBounds(
            limits.requests_per_minute,
            limits.tokens_per_minute,
            limits.concurrent_requests,
            min(limits.max_tokens, context) if limits.max_tokens else None,
            limits.tokens_per_day,
            limits.usd_per_month,
            limits.priority,
        )
        for name, limits in deployment.security.per_key.items()
    }
