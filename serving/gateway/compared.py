"""What each release has done since its service's traffic is shared: for whoever watches a new one.

Counted only while several releases share a service's traffic, and from nothing whenever the shares
change, so that both are compared over the same time. Requests of this machine's own commands that
name their release are left out: they prove something, and are not shared by chance.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops.releases import step_of
from serving.gateway.answers import Refusal
from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.upstream import ReleaseRef

OVERLOADED = "overloaded"


@dataclass(slots=True)
class _Count:
    requests: int = 0
    failures: int = 0
    cut: int = 0
    empty: int = 0
    truncated: int = 0
    ttft: Counter[int] = field(default_factory=Counter)
    tpot: Counter[int] = field(default_factory=Counter)


class Compared:
    """Counts by service and release."""

    def __init__(self) -> None:
        self._shares: dict[str, dict[int, int]] = {}
        self._counts: dict[ReleaseRef, _Count] = {}

    def follow(self, services: Mapping[str, Service]) -> None:
        """Count by these shares from now on."""
        for name, service in services.items():
            shares = {one.release: one.share for one in service.releases if one.share}
            if shares != self._shares.get(name):
                self._shares[name] = shares
                self._forget(name)
                if len(shares) > 1:
                    self._counts |= {ReleaseRef(name, number): _Count() for number in shares}
        for name in self._shares.keys() - services.keys():
            del self._shares[name]
            self._forget(name)

    def _forget(self, service: str) -> None:
        self._counts = {one: c for one, c in self._counts.items() if one.service != service}

    @contextlib.contextmanager
    def counting(self, exchange: Exchange, release: ReleaseRef) -> Iterator[None]:
        """Count a request that the release is to answer, once it has or has not."""
        count = None if exchange.named else self._counts.get(release)
        if count is None:
            yield
            return
        try:
            yield
        except Refusal as refusal:
            # Any other refusal is for what the client has asked, or because it has gone.
            if refusal.status >= 500 or refusal.reason == OVERLOADED:
                _add(count, exchange, failed=True)
            raise
        cut = exchange.cut is not None and exchange.cut >= 500
        count.cut += cut
        _add(count, exchange, failed=cut)

    def figures(self, service: str) -> dict[str, Any]:
        """By release: what `releases.Figures` holds; empty while one has all the traffic."""
        return {
            "compared": {
                str(one.number): {
                    "requests": count.requests,
                    "failures": count.failures,
                    "cut": count.cut,
                    "empty": count.empty,
                    "truncated": count.truncated,
                    "ttft": _told(count.ttft),
                    "tpot": _told(count.tpot),
                }
                for one, count in self._counts.items()
                if one.service == service
            }
        }


def _add(count: _Count, exchange: Exchange, *, failed: bool) -> None:
    count.requests += 1
    count.failures += failed
    if failed:
        return
    tally = exchange.tally
    count.empty += tally.empty
    count.truncated += tally.truncated
    if tally.ttft is not None:
        count.ttft[step_of(tally.ttft)] += 1
    if tally.tpot is not None:
        count.tpot[step_of(tally.tpot)] += 1


def _told(times: Counter[int]) -> dict[str, int]:
    return {str(step): hits for step, hits in sorted(times.items())}
