"""What keys have used, in a file (0600), so that it is known after a restart.

Written whole and put in place, at most once a second: a process that is killed loses a second at
most, and what was in flight. A file that others could write is refused, for it says what a key may
still use; one that cannot be read is moved aside, and counting begins anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import time
from pathlib import Path
from typing import Any

from llmops.errors import LlmopsError
from serving.gateway.limiter.book import Book

log = logging.getLogger("llmops.limits")

EVERY = 1.0
"""Seconds between two writings."""


class Saved:
    """The file of one book."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, Any] = {}

    def read_into(self, book: Book) -> None:
        """Count what the file says was used.

        Raises:
            LlmopsError: When others can write the file, or it cannot be opened.
        """
        text = self._content()
        try:
            book.merge(json.loads(text) if text else {}, time.time())
        except ValueError:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            log.warning("%s held no counts: moved to %s, counting begins anew", self._path, aside)

    async def keep(self, book: Book) -> None:
        """Write what has changed, for as long as this is not cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            dumped = book.dump(time.time())
            try:
                await asyncio.to_thread(self.write, dumped)
            except OSError as error:  # a full disk: limits hold on in memory, and it is tried again
                log.warning("%s was not written: %s", self._path, error.strerror)

    def write(self, dumped: dict[str, Any]) -> None:
        """Write what `Book.dump` gave, unless it is what was written last."""
        if dumped == self._last:
            return
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)  # what a killed writer left
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(dumped, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        self._last = dumped

    def _content(self) -> str:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise LlmopsError(
                f"{self._path} is not a file of counts: {error.strerror}",
                hint="it must be a plain file of your own, neither a link nor a directory",
            ) from error
        with os.fdopen(descriptor) as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise LlmopsError(f"{self._path} is open to others", hint=f"chmod 600 {self._path}")
            return file.read()
