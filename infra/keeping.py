"""What an update of a stack leaves of what stands already, though the plan alone would not say so.

A group that is made smaller ends machines of its own choice, whatever serves there; and a placement
group cannot go while a machine stands in it. So a program is told what it must not take away.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keep:
    """What stands, and stays."""

    machines: int = 0
    """Machines with GPUs, of which none may end by an update."""
    close: bool = False
    """Whether they were started close together, which those that are left then stay."""


NOTHING = Keep()

__all__ = ["NOTHING", "Keep"]
