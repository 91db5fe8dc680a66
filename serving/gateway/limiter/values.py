"""What is asked of a limiter, and what it answers: plain values that also travel between processes.

An account is what limits are counted for: one named key of one service, whatever its id, so that a
key that is being rotated has one allowance and not two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_requests",
    "tokens_per_day",
    "usd_per_month",
]
"""The limit that was reached, by its name in the spec."""

PICO = 10**12
"""Money is counted in whole picodollars, so that sums are exact. A price in US dollars for a
million tokens is that many millions of picodollars for one."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one account; None where there is none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    tokens_per_day: int | None = None
    usd_per_month: float | None = None
    input_usd: float = 0.0
    """Price of a million tokens that are read."""
    output_usd: float = 0.0
    """Price of a million tokens that are generated."""

    @property
    def of_tokens(self) -> bool:
        """Whether a request's tokens must be set aside before it begins."""
        limits = (self.tokens_per_minute, self.tokens_per_day, self.usd_per_month)
        return any(limit is not None for limit in limits)

    def cost(self, tokens: Tokens) -> int:
        """The price of `tokens`, in picodollars."""
        dearer = round(self.input_usd * 10**6) * tokens.read
        return dearer + round(self.output_usd * 10**6) * tokens.generated


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one request, as the engine counts them: read, and generated."""

    read: int = 0
    generated: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.read + self.generated


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that wants to begin. Its `id` is its own, so that asking twice counts once."""

    id: str
    account: str
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit for a minute."""

    limit: int
    remaining: int
    reset: float
    """Seconds until all of it is there again, if nothing more is asked."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands with its limits for a minute; None where there is no such limit."""

    requests: Left | None = None
    tokens: Left | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A request that may not begin."""

    reason: Reason
    retry_after: float | None
    """Seconds after which the same request would be let through, if nothing else is asked; None
    when it never would, because it alone is more than the limit."""
    standing: Standing
