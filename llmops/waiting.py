"""A wait that is always explained: look, tell why, look again, and never without end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from llmops.errors import TargetError
from llmops.events import Progress

POLL = 0.1
"""Seconds between two looks, where a look costs little."""


def wait(
    phase: str,
    look: Callable[[], str | None],
    seconds: float,
    *,
    expire_quietly: bool = False,
    poll: float = POLL,
) -> Generator[Progress, None, None]:
    """Look until there is nothing to wait for; tell why it waits, and for how long it may.

    Args:
        phase: What is told as the phase of each moment.
        look: Gives the reason to wait on, or None when there is none.
        seconds: How long it may take.
        expire_quietly: Whether the end of that time is no failure.
        poll: Seconds between two looks.

    Raises:
        TargetError: When the time is over, with the last reason; unless it may expire quietly.
    """
    began = time.monotonic()
    while (reason := look()) is not None:
        elapsed = time.monotonic() - began
        if elapsed > seconds:
            if expire_quietly:
                return
            raise TargetError(f"{phase} took more than {seconds:.0f} s: {reason}")
        yield Progress(phase, reason, elapsed, seconds)
        time.sleep(poll)


__all__ = ["POLL", "wait"]
