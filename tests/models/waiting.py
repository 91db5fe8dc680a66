"""Waiting for what must come, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, *, seconds: float = 60.0) -> T:
    """What `look` finds, once it is not None.

    Raises:
        AssertionError: Naming `what` did not happen.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds:.0f} s: {what}")
