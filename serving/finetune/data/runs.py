"""Runs of characters as numbers, a text at a time: what tells repetition and likeness."""

from __future__ import annotations

from typing import Any

MULTIPLIER = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, odd: Knuth's constant for multiplicative hashing."""


def hashes_of_runs(text: str, length: int) -> Any:
    """A 64-bit number for each run of `length` characters, in their order; equal runs, equal
    numbers.

    Returns:
        A NumPy array of uint64, of shape (max(1, len(text) - length + 1),): a shorter text is one
        run by itself.
    """
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(points) < length:
        points = np.concatenate([points, np.zeros(length - len(points), dtype=np.uint64)])
    count = len(points) - length + 1
    factor = np.uint64(MULTIPLIER)
    found = np.zeros(count, dtype=np.uint64)
    for at in range(length):
        found = (found ^ points[at : at + count]) * factor
        found ^= found >> np.uint64(29)
    return found
