"""When a training must stop: its loss is no number, or is worse than guessing.

A model that gives every token the same chance has a loss of ln(vocabulary). One that starts below
and climbs past half as much again has come apart; it would only overwrite good checkpoints.
"""

from __future__ import annotations

import math
from collections import deque

SPAN = 8
"""Steps whose mean is looked at: a single bad batch is no divergence."""

WORSE = 1.5


class Watch:
    """Looks at each step's loss.

    Args:
        vocabulary: Of the model.
    """

    def __init__(self, vocabulary: int) -> None:
        self._guess = math.log(vocabulary)
        self._last: deque[float] = deque(maxlen=SPAN)
        self._first: float | None = None

    def diverged(self, loss: float) -> str:
        """Why the loss so far says that it diverged; empty when it does not."""
        self._last.append(loss)
        if self._first is None:
            self._first = loss
        mean = sum(self._last) / len(self._last)
        most = WORSE * max(self._guess, self._first)
        if len(self._last) < SPAN or mean <= most:
            return ""
        return (
            f"the mean loss of the last {SPAN} steps is {mean:.2f}, above {most:.2f}, which is"
            f" {WORSE} times that of guessing ({self._guess:.2f}) or of the first step"
            f" ({self._first:.2f})"
        )
