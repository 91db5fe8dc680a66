"""Exponential averages: what is new weighs by the time that has passed, whatever the rhythm."""

from __future__ import annotations

import math


def weight(elapsed: float, constant: float, age: float | None = None) -> float:
    """Of a new value in an average.

    Args:
        elapsed: Seconds that the value stands for.
        constant: Time constant of the average.
        age: Seconds of the average, these included: a young one is a plain mean, since one that
            began at 0 would take what is there for a rise. None: it is not young.
    """
    share = 1 - math.exp(-elapsed / constant)
    return max(share, elapsed / age) if age else share


def constants(lead: float) -> tuple[float, float]:
    """Time constants of the short and the long average, for starts that take `lead` seconds."""
    short = min(max(lead / 3, 5.0), 60.0)
    return short, 4 * short
