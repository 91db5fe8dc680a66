"""The words for what the gateway holds requests to: a part of a plan. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """Limits of one key in place of those of all; None where those hold."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    max_tokens: int | None = None
    tokens_per_day: int | None = None
    usd_per_month: float | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gateway enforces for this service, for each key; None is without limit, as in
    records that are older than the field."""

    requests_per_minute: int
    max_body: int
    max_tokens: int
    max_choices: int
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    tokens_per_day: int | None = None
    usd_per_month: float | None = None
    input_usd: float | None = None
    """Price of a million tokens that are read."""
    output_usd: float | None = None
    """Price of a million tokens that are generated."""
    per_key: Mapping[str, KeyBounds] = field(default_factory=dict)
    in_flight: int | None = None
    """Requests that one replica is given at once; further ones wait for their turn."""


__all__ = ["KeyBounds", "Limits"]
