"""The routing table: which release of which service gets which share, and the bounds of each.

Plain values parsed strictly from `user_config`. It never holds a key: only the key set's version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from serving.gateway.limiter import Bounds


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class KeyLimits(_Table):
    """Limits of one key in place of those of all; None where those hold."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent_requests: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)
    usd_per_month: float | None = Field(default=None, gt=0)
    priority: Literal["high", "normal", "low"] | None = None
    """Whose requests wait first, and are sent away last; None is normal."""


class Limits(KeyLimits):
    """Bounds of one service's requests, for each key; None is without limit."""

    requests_per_minute: int = Field(ge=1)
    max_body: int = Field(ge=1)
    """Bytes."""
    max_tokens: int = Field(ge=1)
    max_choices: int = Field(ge=1)
    input_usd: float = Field(default=0.0, ge=0)
    """Price of a million tokens that are read."""
    output_usd: float = Field(default=0.0, ge=0)
    """Price of a million tokens that are generated."""
    per_key: dict[str, KeyLimits] = Field(default={})
    in_flight: int | None = Field(default=None, ge=1)
    """Requests that one replica is given at once; further ones wait for their turn."""

    def of(self, key: str) -> Limits:
        """The limits of the key of that name."""
        own = self.per_key.get(key, KeyLimits()).model_dump(exclude_none=True)
        return self.model_copy(update=own)

    @property
    def of_nobody(self) -> Limits:
        """What still bounds a request that counts for no key."""
        counted = ("tokens_per_minute", "tokens_per_day", "usd_per_month")
        return self.model_copy(update=dict.fromkeys(counted))

    @property
    def bounds(self) -> Bounds:
        """What is counted of them."""
        return Bounds(
            self.requests_per_minute,
            self.tokens_per_minute,
            self.concurrent_requests,
            self.tokens_per_day,
            self.usd_per_month,
            self.input_usd,
            self.output_usd,
        )

    @property
    def at_once(self) -> int | None:
        """Tokens, read and generated, that one request may take; None is any number."""
        limits = (self.tokens_per_minute, self.tokens_per_day)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def of_one_request(self) -> int:
        """Tokens that one request may generate."""
        return min(self.max_tokens, self.at_once or self.max_tokens)


class Share(_Table):
    """One release and the percent of new requests it gets."""

    release: int = Field(ge=1)
    share: int = Field(ge=0, le=100)
    begins: int = Field(default=0, ge=0)
    """Replicas that it begins with while it is on its way; 0 is its lowest number."""
    engine: int | None = Field(default=None, ge=1)
    """The release whose engine answers for it; None for its own."""
    models: dict[str, str] = Field(default={})
    """Model names that it answers to beside the service's, each with the digest of its adapter."""


class Hold(_Table):
    """Bounds of what waits while a service has no replica."""

    requests: int = Field(ge=1)
    seconds: float = Field(gt=0)


class Ceiling(_Table):
    """Most replicas of a release, and whose word that is."""

    replicas: int = Field(ge=0)
    by: str


class Scaling(_Table):
    """What the gateway does for a service whose number of replicas follows the load."""

    ttft: float | None = None
    """Objective, in seconds; None promises nothing."""
    tpot: float | None = None
    hold: Hold | None = None
    """None for a service that always has a replica."""
    ceiling: Ceiling | None = None
    """What a budget pays for; None where there is none."""


class Service(_Table):
    """One service's releases and limits."""

    releases: list[Share]
    limits: Limits
    context: int = Field(ge=1)
    """Longest request in tokens."""
    scaling: Scaling | None = None
    """None where the number of replicas is fixed."""
    affinity: Literal["request", "header", "key"] = "request"
    """What makes requests a session, which keeps its release and its replica."""
    shadow: int = Field(default=0, ge=0, le=100)
    """Percent of the requests that the release gets as well that does not answer them, while two
    share the traffic."""

    def within(self, limits: Limits) -> Service:
        """The same service with other limits."""
        return self.model_copy(update={"limits": limits})


class _Config(_Table):
    generation: int
    keys_version: str
    services: dict[str, Service]
    closing: bool = False


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """One generation of the routing table."""

    generation: int
    keys_version: str
    services: dict[str, Service]
    closing: bool = False
    """Whether another runtime has taken over: each answer then ends its connection, so that the
    client's next request goes there."""

    @classmethod
    def empty(cls) -> Self:
        """No service at all; what a gateway starts with."""
        return cls(0, "", {})

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Read a table.

        Raises:
            ValueError: When a field is missing, unknown or of the wrong type.
        """
        parsed = _Config.model_validate(document)
        return cls(parsed.generation, parsed.keys_version, dict(parsed.services), parsed.closing)
