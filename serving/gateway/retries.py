"""How many requests of a service may be sent once more: a budget that its requests earn.

Without one, replicas that die again and again would get each request twice, just when they can
stand it least. The reserve lets a replica die with all that it had at hand, as seldom as that is;
after that no more than a share of the requests is repeated, as Finagle and Envoy do it.
"""

from __future__ import annotations

from serving.gateway.metrics import Metrics

RESERVE = 256.0
"""Repeats that a service may have at once at a gateway, and begins with."""
SHARE = 0.2
"""Repeats that a request earns."""


class Retries:
    """The budgets of a gateway's services."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._left: dict[str, float] = {}

    def earn(self, service: str) -> None:
        """A request is let through to a service."""
        self._left[service] = min(RESERVE, self._left.get(service, RESERVE) + SHARE)

    def spend(self, service: str) -> bool:
        """Whether a request whose replica died may be sent once more; if so, it will be."""
        left = self._left.get(service, RESERVE)
        granted = left >= 1.0
        if granted:
            self._left[service] = left - 1.0
        self._metrics.retries.labels(service, "sent" if granted else "refused").inc()
        return granted
