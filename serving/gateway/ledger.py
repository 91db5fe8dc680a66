"""What the gateway remembers of its services: in flight, last generations, the last minute."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import Gauge

from serving.gateway.compared import Compared
from serving.gateway.rates import Sliding
from serving.gateway.upstream import ReleaseRef


class Ledger:
    """Counts by service and release; times in seconds on a clock that nobody sets."""

    def __init__(self) -> None:
        self._in_flight: dict[str, Counter[int]] = {}
        self._last: dict[tuple[str, int], float] = {}
        self._requests: dict[str, Sliding] = {}
        self._tokens: dict[str, Sliding] = {}
        self.compared = Compared()

    @contextlib.contextmanager
    def flying(self, release: ReleaseRef, gauge: Gauge) -> Iterator[None]:
        """Count a request as in flight while it is."""
        counts = self._in_flight.setdefault(release.service, Counter())
        counts[release.number] += 1
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()
            counts[release.number] -= 1
            if not counts[release.number]:
                del counts[release.number]

    def generated(self, service: str, release: int, when: float) -> None:
        """A release has really generated at `when`."""
        self._last[service, release] = when

    def fresh(self, service: str, release: int, seconds: float, now: float) -> bool:
        """Whether the release has generated in the last `seconds`."""
        last = self._last.get((service, release))
        return last is not None and now - last <= seconds

    def count(self, service: str, tokens: int, now: float) -> None:
        """Count a finished request and its generated tokens."""
        self._requests.setdefault(service, Sliding()).add(1, now)
        self._tokens.setdefault(service, Sliding()).add(tokens, now)

    def figures(self, service: str, now: float, clock: float) -> dict[str, Any]:
        """In flight by release, the last generation, and rates over the last minute.

        Args:
            service: Whose.
            now: As everywhere here.
            clock: The same moment in Unix seconds.
        """
        lasts = [when for (name, _), when in self._last.items() if name == service]
        requests, tokens = self._requests.get(service), self._tokens.get(service)
        return {
            "in_flight": {str(n): c for n, c in self._in_flight.get(service, {}).items()},
            "last_generation_at": clock - now + max(lasts) if lasts else None,
            "requests_per_minute": float(requests.total(now)) if requests else 0.0,
            "tokens_per_second": tokens.total(now) / Sliding.WINDOW if tokens else 0.0,
            **self.compared.figures(service),
        }

    def keep(self, services: set[str]) -> None:
        """Forget what is known of services that are gone."""
        for name in self._requests.keys() - services:
            del self._requests[name], self._tokens[name]
        for name in self._in_flight.keys() - services:
            if not self._in_flight[name]:
                del self._in_flight[name]
        self._last = {key: when for key, when in self._last.items() if key[0] in services}
