"""What is wanted of the agent of a host: that it runs, as what and for whom, or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["head", "worker"]

AT_ONCE = ""
"""Replicas end where they are, and Ray is not asked."""


@dataclass(frozen=True, slots=True)
class AgentWanted:
    """An agent that is to run."""

    role: Role
    store: str
    """Address of the store that it works for."""
    token: str = field(repr=False)
    """Ray's token, the same on all hosts of a store."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for its network."""

    @property
    def digest(self) -> str:
        """What tells its token from others."""
        return hashlib.sha256(self.token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AgentUnwanted:
    """No agent is to run: one that does leaves its Ray first."""

    store: str
    """Of which store; that of another is left alone."""
    within: str = "10min"
    """How long its replicas may take to be elsewhere, or `AT_ONCE`."""


__all__ = ["AT_ONCE", "AgentUnwanted", "AgentWanted", "Role"]
