"""Hosts that are this machine's own processes, without SSH.

What is asked was recorded, locks are held by the real program, and what would be changed is noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bare_metal.hosts.connection import (
    Files,
    HostGoneError,
    Ran,
    Reader,
    RecordedConnector,
    Talk,
    Writer,
)
from bare_metal.hosts.connection.holding import LOCK
from bare_metal.inventory import Placed


@dataclass
class NearConnector:
    """Hosts below a folder: a lock for each, and what was recorded of it."""

    folder: Path
    silent: frozenset[str] = frozenset()
    """Hosts that do not answer."""
    changed: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    meanwhile: Callable[[str], None] = lambda _host: None
    """Called before each change."""

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Reader]:
        async with self.writing(host) as session:
            yield session

    @asynccontextmanager
    async def writing(self, host: Placed) -> AsyncIterator[Writer]:
        if host.name in self.silent:
            raise HostGoneError("it does not answer")
        async with RecordedConnector(self.folder).reading(host) as session:
            yield NearHost(self, host.name, session)


@dataclass
class NearHost:
    """One of them."""

    by: NearConnector
    name: str
    recorded: Reader

    @property
    def lock(self) -> Path:
        return self.by.folder / f"{self.name}.lock"

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        return await self.recorded.run(argv, seconds=seconds)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        return await self.recorded.read(patterns, seconds=seconds)

    async def change(self, argv: Sequence[str], stdin: bytes | None, *, seconds: float) -> Ran:
        del stdin, seconds
        self.by.meanwhile(self.name)
        self.by.changed.append((self.name, tuple(argv)))
        return Ran(0)

    @asynccontextmanager
    async def talk(self, argv: Sequence[str]) -> AsyncIterator[Talk]:
        words = [str(self.lock) if word == LOCK else word for word in argv]
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield NearTalk(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()


@dataclass
class NearTalk:
    """A process that is spoken with."""

    process: asyncio.subprocess.Process

    async def say(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        await self.process.stdin.drain()

    async def hear(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def ended(self) -> Ran:
        assert self.process.stdin is not None
        self.process.stdin.close()
        out, err = await self.process.communicate()
        return Ran(self.process.returncode, out.decode(), err.decode())
