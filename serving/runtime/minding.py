"""Who minds a service whose traffic is shared when the command that shared it is gone.

While releases share a service's traffic somebody watches them, and holds the service's lock. The
host looks whether that is so, and starts a process that goes on where it is not: a release on
trial does not stay on its share, judged by nobody, because a terminal was closed. Where the records
are elsewhere, as behind an agent, whoever keeps them minds that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.locking import ServiceLock
from serving.serve_config import GATEWAY

EVERY = 5.0
"""Seconds between two looks; only at the second is a service taken for left alone, since a command
that follows another has it in between."""

RESUMING = "serving.local.resuming"

log = logging.getLogger("llmops.host")


class Minder:
    """Looks after the services of one home."""

    def __init__(self, home: Path, module: str = RESUMING) -> None:
        self._home, self._module = home, module
        self._locks = ServiceLock(home / "locks")
        self._shared: frozenset[str] = frozenset()
        self._alone: frozenset[str] = frozenset()
        self._at_work: dict[str, asyncio.subprocess.Process] = {}

    def follow(self, config: Mapping[str, Any]) -> None:
        """Mind the services that share their traffic by this config of Serve's."""
        self._shared = frozenset(shared(config))

    async def run(self, every: float = EVERY) -> None:
        """Look until it is cancelled, then end what was started."""
        try:
            while True:
                await asyncio.sleep(every)
                await self.look()
        finally:
            await self.stop()

    async def look(self) -> None:
        """Start a process for each service that was left alone at this look and the one before."""
        for service, process in list(self._at_work.items()):
            if process.returncode is not None:
                del self._at_work[service]
        alone = {s for s in self._shared if s not in self._at_work and self._left(s)}
        for service in sorted(alone & self._alone):
            log.info("nobody watches %s any more: gone on with here", service)
            self._at_work[service] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, str(self._home), service,
                stdin=asyncio.subprocess.DEVNULL, cwd="/",
            )  # fmt: skip
        self._alone = frozenset(alone)

    def _left(self, service: str) -> bool:
        recorded = (self._home / "releases" / f"{service}.json").exists()
        return recorded and self._locks.left(service)

    async def stop(self) -> None:
        """End what was started: it may be ended at any instant, as a command may."""
        for process in self._at_work.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in self._at_work.values():
            await process.wait()
        self._at_work.clear()


def shared(config: Mapping[str, Any]) -> list[str]:
    """The services of which more than one release has some of the traffic."""
    tables = [
        deployment["user_config"]["services"]
        for app in config.get("applications", ())
        if app.get("name") == GATEWAY
        for deployment in app["deployments"]
    ]
    return [
        name
        for services in tables
        for name, entry in services.items()
        if sum(one["share"] > 0 for one in entry["releases"]) > 1
    ]
