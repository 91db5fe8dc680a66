"""What one API key may use: the fields of it, and the prices that money is counted by.

The names are those of a policy's bounds. Left out is without limit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.document import Section

Requests = Annotated[int, Field(ge=1, le=1_000_000)]
TokensPerMinute = Annotated[int, Field(ge=1, le=1_000_000_000)]
Concurrent = Annotated[int, Field(ge=1, le=100_000)]
TokensPerDay = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Usd = Annotated[float, Field(ge=0.01, le=10_000_000, strict=False)]
TokensOfOne = Annotated[int, Field(ge=1, le=1_048_576)]
Price = Annotated[float, Field(ge=0, le=100_000, strict=False)]


class Prices(Section):
    """What tokens cost, in US dollars for a million."""

    input_usd: Price
    """Price of a million tokens that are read."""

    output_usd: Price
    """Price of a million tokens that are generated."""


class KeyLimits(Section):
    """Limits of one API key, in place of those of all keys."""

    requests_per_minute: Requests | None = None
    """Requests that it may start in a minute."""

    tokens_per_minute: TokensPerMinute | None = None
    """Tokens, read and generated, that it may use in a minute."""

    concurrent_requests: Concurrent | None = None
    """Requests that it may have in flight at once."""

    max_tokens: TokensOfOne | None = None
    """Tokens that one of its requests may generate."""

    tokens_per_day: TokensPerDay | None = None
    """Tokens that it may use in a day of UTC."""

    usd_per_month: Usd | None = None
    """US dollars that it may spend in a month of UTC."""

    priority: Literal["high", "normal", "low"] | None = None
    """Where a service has more requests than it takes at once, those of a higher priority have
    their turn first, and are refused last. Left out it is `normal`."""
