"""From a request that was let through to its answer: once more when a replica dies too soon.

A request is repeated at most once, only while nothing of its answer has reached the client, and
within its service's budget (see `retries`); one that may have been the cause, only in its turn (see
`quarantine`). After that a dead replica is told as what it is; an answer is never sewn together
from two.
"""

from __future__ import annotations

from collections.abc import Callable

from serving.gateway.answers import Refusal
from serving.gateway.exchange import Begun, Exchange
from serving.gateway.ledger import Ledger
from serving.gateway.metrics import Metrics
from serving.gateway.quarantine import Flight, Quarantine
from serving.gateway.retries import Retries
from serving.gateway.scaling import Scaling
from serving.gateway.upstream import (
    ReleaseRef,
    Upstream,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
)


class Forwarder:
    """Sends requests to releases, relays what they answer, and counts it."""

    def __init__(
        self,
        upstream: Upstream,
        ledger: Ledger,
        metrics: Metrics,
        clock: Callable[[], float],
        scaling: Scaling,
        quarantine: Quarantine,
    ) -> None:
        self._upstream = upstream
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._scaling = scaling
        self._quarantine = quarantine
        self._retries = Retries(metrics)

    async def forward(
        self,
        exchange: Exchange,
        release: ReleaseRef,
        body: bytes,
        *,
        stream: bool,
        wants_usage: bool,
        wants_each: bool = False,
    ) -> None:
        """Answer `exchange` with what `release` makes of `body`.

        Raises:
            Refusal: When nothing was answered yet: the engine refused or failed, every replica is
                busy or gone, the client is, or the request has ended two engines.
        """
        exchange.release = release
        exchange.streams = stream
        self._retries.earn(release.service)
        request = UpstreamRequest(
            method=exchange.method,
            path=exchange.path,
            headers=[("content-type", "application/json"), ("x-request-id", exchange.id)],
            body=body,
            request_id=exchange.id,
            session=exchange.session,
            model=exchange.model,
        )
        key = exchange.key.name if exchange.key else ""
        who = (release.service, str(release.number), key, exchange.model or release.service)
        await self._scaling.hold(exchange, release, stream=stream)
        in_flight = self._metrics.in_flight.labels(*who)
        counting = self._ledger.compared.counting(exchange, release)
        flying = self._quarantine.flight(exchange, release.service)
        with (
            counting,
            self._ledger.flying(release, in_flight),
            self._scaling.flying(release),
            flying as flight,
        ):
            begun = await self._begin(exchange, release, request, stream, flight)
            flight.begun()
            try:
                await exchange.relay(
                    begun, stream=stream, wants_usage=wants_usage, wants_each=wants_each
                )
            finally:
                self._account(exchange, release, who)

    async def _begin(
        self,
        exchange: Exchange,
        release: ReleaseRef,
        request: UpstreamRequest,
        stream: bool,
        flight: Flight,
    ) -> Begun:
        try:
            try:
                return await self._once(exchange, release, request, stream, flight)
            except UpstreamGone as gone:
                if not self._retries.spend(release.service):
                    raise
                flight.lost(gone.died)
                return await self._once(exchange, release, request, stream, flight)
        except UpstreamGone as error:
            flight.lost(error.died)
            raise Refusal(
                503,
                "upstream_gone",
                "the model's replica is gone; try again",
                kind="server_error",
                headers=(("retry-after", "1"),),
            ) from error
        except UpstreamBusy as error:
            raise Refusal(
                429,
                "overloaded",
                "every replica is busy; try again",
                kind="server_error",
                headers=(("retry-after", "1"),),
            ) from error

    async def _once(
        self,
        exchange: Exchange,
        release: ReleaseRef,
        request: UpstreamRequest,
        stream: bool,
        flight: Flight,
    ) -> Begun:
        await flight.take_off()
        exchange.asked, exchange.died = True, ""
        answer = await exchange.unless_gone(self._upstream.send(release, request))
        return await exchange.begin(answer, stream=stream)

    def _account(self, exchange: Exchange, release: ReleaseRef, who: tuple[str, ...]) -> None:
        now = self._clock()
        tally = exchange.tally
        if tally.completion_tokens and exchange.cut is None:
            self._ledger.generated(release.service, release.number, now)
        self._ledger.count(release.service, tally.completion_tokens, now)
        self._scaling.answered(release, exchange)
        self._metrics.prompt_tokens.labels(*who).inc(tally.prompt_tokens)
        self._metrics.completion_tokens.labels(*who).inc(tally.completion_tokens)
        if tally.ttft is not None:
            self._metrics.ttft.labels(*who).observe(tally.ttft)
        if tally.tpot is not None:
            self._metrics.tpot.labels(*who).observe(tally.tpot)
