"""The gateway's part in scaling: who waits for a replica, what is asked for, and who sleeps.

It decides nothing about replicas. It counts, holds requests while there is no replica, and tells
whether a service without one is well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.holding import Holding
from serving.gateway.loads import Loads
from serving.gateway.presence import Presence, Replicas
from serving.gateway.tally import Tally
from serving.gateway.upstream import ReleaseRef


class Scaling:
    """Figures and places of all services whose number of replicas follows the load."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._services: Mapping[str, Service] = {}
        self._presence = Presence()
        self._loads = Loads(clock)
        self._holding = Holding(self._presence, self._loads)
        self._decisions: Mapping[ReleaseRef, Mapping[str, Any]] = {}

    def follow(self, services: Mapping[str, Service]) -> None:
        """Use another routing table."""
        self._services = services
        releases = set(self._releases())
        self._presence.keep(releases)
        self._loads.keep(releases)

    def tell(self, known: Mapping[ReleaseRef, Replicas]) -> None:
        """Take over which replicas there are."""
        self._presence.tell(known)

    def decided(self, decisions: Mapping[ReleaseRef, Mapping[str, Any]]) -> None:
        """Take over how many replicas there are to be, and why, to tell whoever asks."""
        self._decisions = decisions

    @property
    def followed(self) -> list[ReleaseRef]:
        """Releases whose number of replicas follows the load."""
        return [
            ReleaseRef(name, share.release)
            for name, service in self._services.items()
            for share in service.releases
            # What begins with more than its lowest number follows the load, whatever its service
            # has done so far.
            if service.scaling is not None or share.begins
        ]

    @property
    def somebody_waits(self) -> bool:
        """Whether a request waits for a replica."""
        return any(self._loads.of(release).waiting for release in self.followed)

    def asleep(self, release: ReleaseRef) -> bool:
        """Whether a release rightly has no replica now: it would start one if somebody asked.

        One that a request waited for in vain does not sleep.
        """
        service = self._services.get(release.service)
        scaling = service.scaling if service else None
        return (
            scaling is not None
            and scaling.hold is not None
            and self._presence.absent(release)
            and self._loads.of(release).given_up_at is None
        )

    async def hold(self, exchange: Exchange, release: ReleaseRef, *, stream: bool) -> None:
        """Count a request, and let it wait while no replica runs.

        Raises:
            Refusal: As `Holding.wait` says.
        """
        service = self._services.get(release.service)
        scaling = service.scaling if service else None
        if scaling is None:
            return
        self._loads.of(release).arrived += 1
        exchange.held = self._presence.absent(release)
        await self._holding.wait(exchange, release, scaling.hold, stream=stream)

    @contextlib.contextmanager
    def flying(self, release: ReleaseRef) -> Iterator[None]:
        """Count a request as handed to a replica while it is."""
        with self._loads.flying(release):
            yield

    def answered(self, release: ReleaseRef, exchange: Exchange) -> None:
        """Count an answer, and whether it met the service's objective."""
        service = self._services.get(release.service)
        if service is None or service.scaling is None or not exchange.tally.completion_tokens:
            return
        # How long a start takes is no fault of the load: it says nothing of the replicas there are.
        met = None if exchange.held else _met(exchange.tally, service.scaling.ttft,
                                              service.scaling.tpot)  # fmt: skip
        self._loads.answered(release, exchange.tally.completion_tokens, met)

    def figures(self, queued: Mapping[str, int]) -> dict[ReleaseRef, dict[str, Any]]:
        """What each followed release is asked for, for whoever decides on replicas.

        Args:
            queued: Requests of each service that wait for their turn at this gateway; they count
                for the release that gets most of the service's traffic.
        """
        found = {}
        for release in self.followed:
            figures = self._loads.figures(release)
            if release == self._first(release.service):
                figures["waiting"] += queued.get(release.service, 0)
            known = self._presence.of(release)
            figures["stopping"] = known.stopping if known else 0
            found[release] = figures | self._told(release)
        return found

    def _told(self, release: ReleaseRef) -> dict[str, Any]:
        """What the table says of a release's replicas.

        `follows` is how many the release has whose traffic this one is to take over, or had when
        this one was made; None where it is to take over none.
        """
        service = self._services[release.service]
        ceiling = service.scaling.ceiling if service.scaling else None
        return {
            "follows": self._follows(release, service),
            "ceiling": ceiling.model_dump() if ceiling else None,
        }

    def _follows(self, release: ReleaseRef, service: Service) -> int | None:
        own = next(one for one in service.releases if one.release == release.number)
        if own.share == 100 or any(
            one.share and one.release > own.release for one in service.releases
        ):
            return None
        known = [
            self._presence.of(ReleaseRef(release.service, one.release))
            for one in service.releases
            if one.share and one.release < own.release
        ]
        return max([own.begins, *(one.running + one.starting for one in known if one)])

    def state(self, service: str) -> dict[str, Any]:
        """Replicas, decisions and held requests of a service that is followed, by release."""
        ours = [release for release in self.followed if release.service == service]
        known = {str(one.number): self._presence.of(one) for one in ours}
        if not known:
            return {}
        return {
            "replicas": {number: asdict(count) for number, count in known.items() if count},
            "decisions": {
                str(one.number): dict(self._decisions[one])
                for one in ours
                if one in self._decisions
            },
            "held": sum(len(self._loads.of(release).waiting) for release in ours),
        }

    def _first(self, service: str) -> ReleaseRef:
        share = max(self._services[service].releases, key=lambda one: (one.share, one.release))
        return ReleaseRef(service, share.release)

    def _releases(self) -> Iterator[ReleaseRef]:
        for name, service in self._services.items():
            yield from (ReleaseRef(name, share.release) for share in service.releases)


def _met(tally: Tally, ttft: float | None, tpot: float | None) -> bool | None:
    """Whether an answer met the objective; None where nothing was promised or measured."""
    pairs = [(tally.ttft, ttft), (tally.tpot, tpot)]
    judged = [took <= aim for took, aim in pairs if took is not None and aim is not None]
    return all(judged) if judged else None
