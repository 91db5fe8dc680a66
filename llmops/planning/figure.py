"""A number of a plan with its reason: the smallest word of planning. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and the reason for it: the arithmetic, or where it was read."""

    value: int | float | str
    reason: str
