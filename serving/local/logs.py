"""Lines of a log file, as they are and as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from llmops.errors import InputError


def lines(path: Path, *, follow: bool) -> Iterator[str]:
    """The file's lines without their ends; with `follow`, waits for more until it is closed.

    Raises:
        InputError: When there is no such log.
    """
    if not path.exists():
        raise InputError(f"there is no log at {path}", hint="the release has not started yet")
    with path.open(errors="replace") as file:
        waiting = ""
        while True:
            text = file.readline()
            if text.endswith("\n"):
                yield waiting + text.rstrip("\n")
                waiting = ""
            elif follow:
                waiting += text
                time.sleep(0.1)
            else:
                if waiting + text:
                    yield waiting + text
                return
