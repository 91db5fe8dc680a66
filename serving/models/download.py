"""Bring the files of a remote place here: several at a time, each going on where it ended.

A file is written in order, so its length tells how much of it has arrived; after a kill the next
run asks for the rest. Each byte is written at its own place, so that a writer which has not yet
noticed that it was told to stop can do no harm to the next. Nothing here knows a protocol: a
`Remote` reads itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from llmops.units import Bytes

WORKERS = 4
"""Files at a time: one connection rarely fills a line, and many are unkind to a hub."""

TRIES = 5
"""Tries in a row that bring no byte before it is given up."""

PAUSE = 0.5
"""Seconds before the second try; doubled for each further one."""


class Interrupted(ModelError):
    """The source was cut off; what has arrived is kept, and the next try goes on from there."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One file to be had."""

    name: str
    """Relative to the model's directory; judged before (`contents.select`)."""
    size: int
    """Bytes that it must have."""
    read: Callable[[int], Iterator[bytes]]
    """Its bytes from an offset to the end. Raises Interrupted when another try may do better, and
    another ModelError when none can."""


def download(remotes: Sequence[Remote], into: Path, source: str) -> Flow[None]:
    """Have the files in `into`. What is there already, whole or in part, is not read again.

    Raises:
        ModelError: When a file cannot be had.
        OSError: When one cannot be written.
    """
    job, began = _Job(remotes, into, source), time.monotonic()
    threads = [
        threading.Thread(target=job.work, name=f"download {source}", daemon=True)
        for _ in remotes[:WORKERS]
    ]
    for thread in threads:
        thread.start()
    try:
        while job.failure is None and (busy := [t for t in threads if t.is_alive()]):
            yield job.progress(time.monotonic() - began)
            busy[0].join(0.2)
    finally:
        job.stop()
    if job.failure is not None:
        raise job.failure
    yield job.progress(time.monotonic() - began)


class _Job:
    """What the workers share."""

    def __init__(self, remotes: Sequence[Remote], into: Path, source: str) -> None:
        self._into, self._source = into, source
        self._total = sum(remote.size for remote in remotes)
        self._here = dict.fromkeys((remote.name for remote in remotes), 0)
        self._stopped = threading.Event()
        self._waiting: SimpleQueue[Remote] = SimpleQueue()
        for remote in remotes:
            self._waiting.put(remote)
        self.failure: Exception | None = None
        self._troubles: dict[str, str] = {}

    def progress(self, elapsed: float) -> Progress:
        """How far it is, and why a file does not come just now."""
        here = sum(self._here.values())
        percent = 100.0 * here / self._total if self._total else None
        share = f"{Bytes(here).human()} of {Bytes(self._total).human()}"
        trouble = next((f"; {why}, trying again" for why in list(self._troubles.values())), "")
        return Progress(
            "model", f"fetching {self._source} ({share}){trouble}", elapsed, None, percent
        )

    def stop(self) -> None:
        """Let each worker end after the block that it waits for."""
        self._stopped.set()

    def work(self) -> None:
        """Bring one file after another."""
        try:
            while not self._stopped.is_set():
                self._bring(self._waiting.get_nowait())
        except Empty:
            return
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, and raised there
            self.failure = self.failure or error
            self.stop()

    def _bring(self, remote: Remote) -> None:
        path = self._into / remote.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            here = os.fstat(descriptor).st_size
            if here > remote.size:
                os.ftruncate(descriptor, 0)
                here = 0
            self._here[remote.name] = here
            if here < remote.size:
                self._insist(remote, descriptor)
        finally:
            os.close(descriptor)

    def _insist(self, remote: Remote, descriptor: int) -> None:
        """Read on until all is here, over cuts."""
        vain = 0
        while not self._stopped.is_set():
            before = self._here[remote.name]
            try:
                self._read_on(remote, descriptor)
            except Interrupted as error:
                vain = vain + 1 if self._here[remote.name] == before else 1
                if vain == TRIES:
                    raise
                self._troubles[remote.name] = error.message
                self._stopped.wait(PAUSE * 2 ** (vain - 1))
            else:
                self._troubles.pop(remote.name, None)
                return

    def _read_on(self, remote: Remote, descriptor: int) -> None:
        here = self._here[remote.name]
        for block in remote.read(here):
            if self._stopped.is_set():
                return
            if here + len(block) > remote.size:
                os.ftruncate(descriptor, 0)
                raise ModelError(f"{remote.name} is longer than the {remote.size} bytes announced")
            _write(descriptor, block, here)
            here += len(block)
            self._here[remote.name] = here
        if here < remote.size:
            raise Interrupted(f"{remote.name} ended after {here} of {remote.size} bytes")


def _write(descriptor: int, block: bytes, at: int) -> None:
    """Write all of a block: a disk that is nearly full takes a part of it first."""
    rest = memoryview(block)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written
