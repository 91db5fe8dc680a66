"""The routing table: which release of which service gets which share, and the bounds of each.

Plain values parsed strictly from `user_config`. It never holds a key: only the key set's version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Limits(_Table):
    """Bounds of one service's requests."""

    requests_per_minute: int = Field(ge=1)
    max_body: int = Field(ge=1)
    """Bytes."""
    max_tokens: int = Field(ge=1)
    max_choices: int = Field(ge=1)


class Share(_Table):
    """One release and the percent of new requests it gets."""

    release: int = Field(ge=1)
    share: int = Field(ge=0, le=100)


class Service(_Table):
    """One service's releases and limits."""

    releases: list[Share]
    limits: Limits
    context: int = Field(ge=1)
    """Longest request in tokens."""


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
