"""Lines of a log file, as they are and as they come."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from llmops.errors import InputError

POLL = 0.1
"""Seconds between looks at a file that is followed."""


def forget(directory: Path, keep: Collection[str]) -> None:
    """Remove the logs of each release of a service but of those whose directories are named."""
    if directory.is_dir():
        for one in directory.iterdir():
            if one.name not in keep:
                shutil.rmtree(one, ignore_errors=True)


def lines(
    path: Path, *, follow: bool, pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """The file's lines without their ends; with `follow`, waits for more until it is removed.

    `pause` is what waits.

    Raises:
        InputError: When there is no such log.
    """
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise InputError(
            f"there is no log at {path}", hint="the release has not started yet"
        ) from error
    with file:
        waiting, gone = "", not follow
        while True:
            text = file.readline()
            if text.endswith("\n"):
                yield waiting + text.rstrip("\n")
                waiting = ""
                continue
            waiting += text
            if file.tell() > os.fstat(file.fileno()).st_size:  # it was turned over
                file.seek(0)
                continue
            if gone:
                break
            gone = not path.exists()  # then what was written before that is read, and no more
            if not gone:
                pause(POLL)
    if waiting:
        yield waiting
