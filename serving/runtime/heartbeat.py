"""Signs of life for a watchdog, from the event loop that is to be looked after."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys

from serving.runtime import watchdog


async def beat(every: float = watchdog.EVERY) -> None:
    """Have this process looked after, and ended if it stands still, until this is cancelled.

    To be begun once nothing holds the loop up for long any more, as an engine's start does. A
    watchdog that is ended is followed by another.

    Args:
        every: Seconds between two signs of life, and between two of its looks.
    """
    while True:
        dog = _started(every)
        try:
            await _until_it_ends(dog, every)
        finally:
            dog.kill()
            dog.wait()


def _started(every: float) -> subprocess.Popen[bytes]:
    # Isolated, and without site packages: it is there at once, whatever is installed.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid()), str(every)],
        stdin=subprocess.PIPE, start_new_session=True, cwd="/",
    )  # fmt: skip


async def _until_it_ends(dog: subprocess.Popen[bytes], every: float) -> None:
    assert dog.stdin is not None  # noqa: S101 - a pipe was asked for
    with dog.stdin as line:
        os.set_blocking(line.fileno(), False)
        while dog.poll() is None:
            # One that is stopped reads nothing: what it has not read will say enough.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(line.fileno(), b".")
            await asyncio.sleep(every)


__all__ = ["beat"]
