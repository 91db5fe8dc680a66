"""Which releases have a replica now, as the runtime tells it; nobody knows until it has told.

The gateway cannot know by itself: a request for a release without a replica looks like one that
takes its time. What is not known is taken to be there, so that nothing waits for news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from serving.gateway.upstream import ReleaseRef


@dataclass(frozen=True, slots=True)
class Replicas:
    """A release's replicas, by what they do."""

    running: int = 0
    starting: int = 0
    stopping: int = 0


class Presence:
    """Replicas by release."""

    def __init__(self) -> None:
        self._known: dict[ReleaseRef, Replicas] = {}
        self._arrivals: dict[ReleaseRef, asyncio.Event] = {}

    def tell(self, known: Mapping[ReleaseRef, Replicas]) -> None:
        """Take over what the runtime says; who waits for a replica that is there goes on."""
        self._known = dict(known)
        for release, arrival in self._arrivals.items():
            if not self.absent(release):
                arrival.set()

    def of(self, release: ReleaseRef) -> Replicas | None:
        """A release's replicas; None when nobody has told."""
        return self._known.get(release)

    def absent(self, release: ReleaseRef) -> bool:
        """Whether it is known that no replica runs."""
        known = self._known.get(release)
        return known is not None and not known.running

    async def comes(self, release: ReleaseRef, seconds: float) -> bool:
        """Wait for a replica; whether one came within `seconds`."""
        arrival = self._arrivals.setdefault(release, asyncio.Event())
        if self.absent(release):
            arrival.clear()
        else:
            arrival.set()
        try:
            async with asyncio.timeout(seconds):
                await arrival.wait()
        except TimeoutError:
            return False
        return True

    def keep(self, releases: set[ReleaseRef]) -> None:
        """Forget releases that are gone; who waits for one goes on, and is told by whom it asks."""
        for release in self._arrivals.keys() - releases:
            self._arrivals.pop(release).set()
        self._known = {one: count for one, count in self._known.items() if one in releases}
