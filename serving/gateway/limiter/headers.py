"""The headers by which OpenAI's clients learn how they stand with their limits. Pure."""

from __future__ import annotations

import math

from serving.gateway.limiter.values import Standing


def rate_limit_headers(standing: Standing) -> tuple[tuple[str, str], ...]:
    """The `x-ratelimit-*` headers, as OpenAI's API names them."""
    return tuple(
        (f"x-ratelimit-{what}-{name}", value)
        for name, left in (("requests", standing.requests), ("tokens", standing.tokens))
        if left is not None
        for what, value in (
            ("limit", str(left.limit)),
            ("remaining", str(left.remaining)),
            ("reset", duration(left.reset)),
        )
    )


def duration(seconds: float) -> str:
    """A time as that API writes it: `6m0s`, `1s`, `120ms`; rounded up, so that who waits so long
    has waited long enough."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(math.ceil(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
