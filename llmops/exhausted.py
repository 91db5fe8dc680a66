"""What of a machine has run out, in words and with what to do: from the error that the kernel gave.

A full disk is no fault of llmops, and is not told as one. Everything that llmops writes is written
beside what was there and put in its place, so whoever meets such an error finds the old or the new.
"""

from __future__ import annotations

import errno

_AGAIN = "then run the same command again: it goes on from where this one stood"
_ROOM = f"free some space and inodes, {_AGAIN}; llmops doctor says how much is free"
_FILES = f"raise the limit of open files (ulimit -n), {_AGAIN}"

_SAID = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("this user's quota of the disk is used up", _ROOM),
    errno.EROFS: ("the disk is read-only", f"mount it for writing, {_AGAIN}"),
    errno.EMFILE: ("this process has no file descriptor left", _FILES),
    errno.ENFILE: ("the machine has no file descriptor left", _FILES),
    errno.ENOMEM: ("there is no memory left", f"end what uses memory, {_AGAIN}"),
}


def exhausted(error: BaseException) -> tuple[str, str] | None:
    """What has run out, and what to do; None where the error is of another kind."""
    if isinstance(error, MemoryError):
        return _SAID[errno.ENOMEM]
    return _SAID.get(error.errno or 0) if isinstance(error, OSError) else None


__all__ = ["exhausted"]
