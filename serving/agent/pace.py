"""How often what is looked at and written. Each look and each write of a bucket has its price."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    beat: float = 5.0
    """Between two beats of a lease."""
    lease: float = 20.0
    """How long a lease holds: three beats may be lost."""
    missing: float = 8.0
    """How long a command watches a lease that looks old: longer than a beat takes."""
    lost: float = 60.0
    """How long an agent may be silent while a command follows, before that gives up."""
    look: float = 1.0
    """Between two looks at the bell, at events, at an answer."""
    sweep: float = 60.0
    """Between two looks that need no bell; and at whether what should serve does."""
    piece: float = 1.0
    """Between two pieces of an order's events."""
    again: float = 5.0
    """Between two moments of the same wait that are told."""


PACE = Pace()
