"""Serve's own log of a process in which somebody else sets up logging.

vLLM does that by `logging.config.dictConfig` when it is imported, which closes every handler that
there is. The one in which Serve gathers its lines forgets thereby which file they go to; and a
controller that comes back asks each replica for that file, and stops those that cannot tell.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from logging.handlers import MemoryHandler

SERVE = "ray.serve"
"""Name of Serve's logger."""


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """After the `with`, Serve's lines go where they went before."""
    gathering = [one for one in logging.getLogger(SERVE).handlers if isinstance(one, MemoryHandler)]
    before = [(one, one.target) for one in gathering]
    try:
        yield
    finally:
        for handler, target in before:
            handler.setTarget(target)


__all__ = ["SERVE", "kept"]
