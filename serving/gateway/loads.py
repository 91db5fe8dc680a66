"""What each release is asked for: the figures that say how many replicas it needs.

Counted where requests pass, so that nothing else has to be trusted: a count behind the gateway that
is not taken back when a request ends badly would keep replicas for nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from serving.gateway.rates import Sliding
from serving.gateway.upstream import ReleaseRef


@dataclass(slots=True)
class Load:
    """One release's figures."""

    arrived: int = 0
    """Requests that ever came."""
    in_flight: int = 0
    """Requests that were handed on."""
    waiting: list[float] = field(default_factory=list)
    """When each request came that waits for a replica, oldest first."""
    tokens: Sliding = field(default_factory=Sliding)
    judged: Sliding = field(default_factory=Sliding)
    """Requests that were held against an objective."""
    missed: Sliding = field(default_factory=Sliding)
    """Those of them that missed it."""
    given_up_at: float | None = None
    """When a request last waited for nothing: no replica came. None since one has answered."""


class Loads:
    """Figures by release; times in seconds on a clock that nobody sets."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loads: dict[ReleaseRef, Load] = {}

    def of(self, release: ReleaseRef) -> Load:
        """A release's figures."""
        return self._loads.setdefault(release, Load())

    def keep(self, releases: set[ReleaseRef]) -> None:
        """Forget releases that are gone."""
        self._loads = {one: load for one, load in self._loads.items() if one in releases}

    @contextlib.contextmanager
    def flying(self, release: ReleaseRef) -> Iterator[None]:
        """Count a request as handed on while it is."""
        load = self.of(release)
        load.in_flight += 1
        try:
            yield
        finally:
            load.in_flight -= 1

    @contextlib.contextmanager
    def waiting(self, release: ReleaseRef) -> Iterator[None]:
        """Count a request as waiting while it does."""
        load, since = self.of(release), self._clock()
        load.waiting.append(since)
        try:
            yield
        finally:
            load.waiting.remove(since)

    def answered(self, release: ReleaseRef, tokens: int, met: bool | None) -> None:
        """Count an answer.

        Args:
            release: Whose it is.
            tokens: Generated.
            met: Whether it met the service's objective; None where there is none.
        """
        load, now = self.of(release), self._clock()
        load.tokens.add(tokens, now)
        load.given_up_at = None
        if met is not None:
            load.judged.add(1, now)
            load.missed.add(0 if met else 1, now)

    def gave_up(self, release: ReleaseRef) -> None:
        """Remember that a request waited for nothing."""
        self.of(release).given_up_at = self._clock()

    def figures(self, release: ReleaseRef) -> dict[str, Any]:
        """The figures as plain data, for whoever decides on replicas."""
        load, now = self.of(release), self._clock()
        return {
            "arrived": load.arrived,
            "in_flight": load.in_flight,
            "waiting": len(load.waiting),
            "oldest_wait": max(0.0, now - load.waiting[0]) if load.waiting else 0.0,
            "tokens_per_second": load.tokens.total(now) / Sliding.WINDOW,
            "judged": load.judged.total(now),
            "missed": load.missed.total(now),
        }
