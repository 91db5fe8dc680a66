"""Work that blocks, awaited: in a thread that nobody waits for at the end of the command.

asyncio's own threads are waited for. A controller that hands out a byte now and then keeps within
every timeout of a request, and would hold the command for as long as it likes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What some work comes to; given up by whoever stops waiting for it."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


__all__ = ["in_thread"]
