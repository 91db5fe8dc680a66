"""What a replica leaves behind of its death: whether that may be laid to a request.

The engine's own processes die apart from the replica's, which then says how: a process that was
ended by a signal which none sends itself was killed from outside, by somebody or by the kernel when
memory was out. The replica's own process says so while it crashes, by Python's fault handler: a
file that is still empty when it is gone means that it was killed too. The gateway looks at that
file where it is on the same machine. Where it is on another nobody can tell, and a request may
have been the cause.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Iterable
from pathlib import Path

FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
KEPT = 86400.0
"""Seconds that a file is kept: longer than anybody asks for it."""


class EngineDiedError(Exception):
    """A replica's engine is dead.

    Args:
        death: Names the death where the request was in flight at it, and may be its cause; empty
            otherwise.
    """

    def __init__(self, death: str = "") -> None:
        super().__init__(death)
        self.death = death

    def __str__(self) -> str:
        return "the engine has died"


class EngineAwayError(EngineDiedError):
    """A replica's engine was dead before the request came; the replica ends within a moment."""


class Death:
    """The one death that a replica can have, in its own process.

    Args:
        folder: Where its file is made.
        name: Names it: the id of the replica's actor, by which others know that it is gone.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in folder.iterdir():
            if time.time() - file.stat().st_mtime > KEPT:
                file.unlink(missing_ok=True)
        self._file = (folder / name).open("w", buffering=1)
        faulthandler.enable(self._file, all_threads=False)

    def engine(self, exits: Iterable[int]) -> str:
        """Note that the engine is dead; returns the death's name, empty where it was killed.

        Args:
            exits: Exit codes of its processes that have ended, a signal as a negative number.
        """
        if any(-code in FROM_OUTSIDE for code in exits):
            return ""
        self._file.write("the engine ended by itself\n")
        return self.name

    def hung(self) -> None:
        """Note that the engine hangs, and was not stopped by anybody."""
        self._file.write("the engine hung\n")


def laid_to_requests(folder: Path, name: str) -> str:
    """A replica's death, where requests may have been its cause; empty where it was killed."""
    try:
        return name if (folder / name).stat().st_size else ""
    except FileNotFoundError:  # of another machine, or from a version that left none
        return name


__all__ = ["Death", "EngineAwayError", "EngineDiedError", "laid_to_requests"]
