"""How much of the processor something took: a bound that a busy machine does not break."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Effort:
    """Seconds of the processor, known once the block has ended."""

    seconds: float = 0.0


@contextmanager
def effort() -> Iterator[Effort]:
    """Measure this thread's seconds of the processor.

    What was there before is kept from the garbage collector: walking through all that thousands of
    earlier tests have left is no part of the work.
    """
    spent = Effort()
    gc.freeze()
    began = time.thread_time()
    try:
        yield spent
    finally:
        spent.seconds = time.thread_time() - began
        gc.unfreeze()


@contextmanager
def effort_of_children() -> Iterator[Effort]:
    """Measure the seconds of the processor of the processes that start and end in the block."""
    spent = Effort()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        yield spent
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.seconds = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
