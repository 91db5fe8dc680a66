"""Who holds a lock and for how long, in the words that every kind of lock shares."""

from __future__ import annotations

import getpass
import os

UNSIGNED = "changed by another llmops command, which has just begun"
"""For a lock whose holder has not said yet who it is."""


def user() -> str:
    """This user's name; the number where the machine has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def ago(seconds: float) -> str:
    """For how long something is held. A clock that was set back tells of no negative time."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


__all__ = ["UNSIGNED", "ago", "user"]
