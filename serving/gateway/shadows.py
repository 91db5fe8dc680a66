"""Requests that are also sent to the release that does not answer them: what it makes is compared.

Only while two releases share a service's traffic, and only a share of the requests. Nobody waits
for a shadow and nobody gets it: its answer is read, counted and thrown away. It counts against no
key's limits and never takes another's turn: where the service is busy, or enough shadows are
about, there is none. It ends with its client, and with the sharing. Of both answers only figures
are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llmops.releases import step_of
from serving.gateway.answers import Refusal
from serving.gateway.audit import Audit
from serving.gateway.compared import OVERLOADED
from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.metrics import Metrics
from serving.gateway.upstream import (
    ReleaseRef,
    Upstream,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
)

AT_ONCE = 8
"""Shadows at one gateway; each holds its request's body."""
LONGEST = 300.0
"""Seconds that one may take."""

Spare = Callable[[str], bool]
"""Whether a service would take a further request at once."""
Asleep = Callable[[ReleaseRef], bool]
"""Whether a release has no replica, and a request would start one."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is kept of an answer."""

    failed: bool
    empty: bool
    truncated: bool
    tokens: int
    ttft: float | None


@dataclass(slots=True)
class _Count:
    """Answers of one release, each of which has its like of the other."""

    requests: int = 0
    failures: int = 0
    empty: int = 0
    truncated: int = 0
    tokens: int = 0
    ttft: Counter[int] = field(default_factory=Counter)

    def add(self, answer: _Answer) -> None:
        self.requests += 1
        self.failures += answer.failed
        self.empty += answer.empty
        self.truncated += answer.truncated
        self.tokens += answer.tokens
        if answer.ttft is not None:
            self.ttft[step_of(answer.ttft)] += 1

    def told(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failures": self.failures,
            "empty": self.empty,
            "truncated": self.truncated,
            "tokens": self.tokens,
            "ttft": {str(step): hits for step, hits in sorted(self.ttft.items())},
        }


@dataclass(slots=True)
class _Sharing:
    """What has been seen of a service since its two releases share its traffic so."""

    shares: dict[int, int]
    percent: int
    models: dict[int, frozenset[str]]
    """The model names that each release has beside the service's."""
    sent: int = 0
    dropped: int = 0
    ended: int = 0
    counts: dict[int, _Count] = field(default_factory=dict)
    flying: set[asyncio.Task[None]] = field(default_factory=set)


class Shadows:
    """The shadows of one gateway.

    Args:
        upstream: Where they are sent.
        metrics: Where they are counted, by what became of them.
        audit: Gets a line for each, marked as what it is.
        clock: Seconds on a clock that nobody sets.
        spare: Whether there is room for one.
        asleep: Whether a release is not to be woken.
    """

    def __init__(
        self,
        upstream: Upstream,
        metrics: Metrics,
        audit: Audit,
        clock: Callable[[], float],
        spare: Spare,
        asleep: Asleep,
    ) -> None:
        self._upstream = upstream
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._spare = spare
        self._asleep = asleep
        self._sharing: dict[str, _Sharing] = {}

    def follow(self, services: Mapping[str, Service]) -> None:
        """Use another routing table; shadows of shares that stand no more end."""
        before, self._sharing = self._sharing, {}
        for name, service in services.items():
            shares = {one.release: one.share for one in service.releases if one.share}
            if not service.shadow or len(shares) != 2:
                continue
            known = before.get(name)
            if known is None or (known.shares, known.percent) != (shares, service.shadow):
                counts = {number: _Count() for number in shares}
                models = {one.release: frozenset(one.models) for one in service.releases}
                known = _Sharing(shares, service.shadow, models, counts=counts)
            self._sharing[name] = known
        for name, old in before.items():
            if self._sharing.get(name) is not old:
                for task in old.flying:
                    task.cancel()

    @contextlib.contextmanager
    def beside(
        self, exchange: Exchange, release: ReleaseRef, body: bytes, *, stream: bool
    ) -> Iterator[None]:
        """Answer a request in this; it may be sent to the other release as well.

        Args:
            exchange: The request.
            release: Which release answers it.
            body: What that gets.
            stream: Whether a stream is asked for.
        """
        sharing = self._sharing.get(release.service)
        other = self._chosen(exchange, release, sharing)
        if sharing is None or other is None:
            yield
            return
        answered: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        shadow = exchange.shadow(other, self._clock())
        request = UpstreamRequest(
            method=exchange.method,
            path=exchange.path,
            headers=[("content-type", "application/json"), ("x-request-id", shadow.id)],
            body=body,
            request_id=shadow.id,
            session=exchange.session,
            model=exchange.model,
        )
        counts = sharing.counts[release.number], sharing.counts[other.number]
        task = asyncio.create_task(
            self._send(
                sharing,
                shadow,
                partial(self._ask, shadow, request, other, stream),
                answered,
                counts,
            )
        )
        sharing.flying.add(task)
        task.add_done_callback(sharing.flying.discard)
        try:
            yield
        except Refusal as refusal:
            if refusal.status == 499:
                task.cancel()
            else:
                answered.set_result(_answer(exchange, refusal))
            raise
        except BaseException:
            task.cancel()
            raise
        answered.set_result(_answer(exchange, None))

    def figures(self, service: str) -> dict[str, Any]:
        """Shadows of a service, and both releases' answers to the same requests, by release; empty
        where there are none to be."""
        sharing = self._sharing.get(service)
        if sharing is None:
            return {}
        told = {str(number): count.told() for number, count in sharing.counts.items()}
        return {
            "shadow": {
                "sent": sharing.sent,
                "dropped": sharing.dropped,
                "ended": sharing.ended,
                "releases": told,
            }
        }

    def _chosen(
        self, exchange: Exchange, release: ReleaseRef, sharing: _Sharing | None
    ) -> ReleaseRef | None:
        """The release that a request's shadow goes to; None where it gets none."""
        if sharing is None or release.number not in sharing.counts or exchange.ask is None:
            return None
        if exchange.suspected:  # it would put a second engine at risk
            return None
        if random.random() * 100 >= sharing.percent:  # noqa: S311 - spreads load, guards nothing
            return None
        [number] = sharing.counts.keys() - {release.number}
        if exchange.model and exchange.model not in sharing.models[number]:
            return None  # it answers to no such name: there is nothing to compare
        other = ReleaseRef(release.service, number)
        flying = sum(len(one.flying) for one in self._sharing.values())
        if flying >= AT_ONCE or not self._spare(other.service) or self._asleep(other):
            sharing.dropped += 1
            self._count(other, "dropped")
            return None
        return other

    async def _send(
        self,
        sharing: _Sharing,
        shadow: Exchange,
        ask: Callable[[], Awaitable[_Answer]],
        answered: asyncio.Future[_Answer],
        counts: tuple[_Count, _Count],
    ) -> None:
        sharing.sent += 1
        outcome = "ended"
        try:
            async with asyncio.timeout(LONGEST):
                answer = await ask()
            theirs = await answered
            for count, one in zip(counts, (theirs, answer), strict=True):
                count.add(one)
            outcome = "failed" if answer.failed else "ok"
        except TimeoutError:
            pass
        finally:
            sharing.ended += outcome == "ended"
            shadow.close()
            self._tell(shadow, outcome)

    async def _ask(
        self, shadow: Exchange, request: UpstreamRequest, release: ReleaseRef, stream: bool
    ) -> _Answer:
        """What the other release makes of a request."""
        try:
            answer = await self._upstream.send(release, request)
            begun = await shadow.begin(answer, stream=stream)
            await shadow.relay(begun, stream=stream, wants_usage=True)
        except Refusal as refusal:
            shadow.status, shadow.reason = refusal.status, refusal.reason
            return _answer(shadow, refusal)
        except UpstreamBusy:
            return _nothing(shadow, 429, OVERLOADED)
        except UpstreamGone:
            return _nothing(shadow, 503, "upstream_gone")
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits to be told
            shadow.failure = type(error).__name__
            return _nothing(shadow, 500, "internal_error")
        return _answer(shadow, None)

    def _tell(self, shadow: Exchange, outcome: str) -> None:
        if outcome == "ended":
            shadow.reason = outcome
        self._audit.write(**shadow.line(self._clock()), shadow=True)
        if shadow.release is not None:
            self._count(shadow.release, outcome)

    def _count(self, release: ReleaseRef, outcome: str) -> None:
        self._metrics.shadows.labels(release.service, str(release.number), outcome).inc()


def _answer(exchange: Exchange, refusal: Refusal | None) -> _Answer:
    tally = exchange.tally
    refused = refusal is not None and (refusal.status >= 500 or refusal.reason == OVERLOADED)
    failed = refused or (exchange.cut is not None and exchange.cut >= 500)
    return _Answer(failed, tally.empty, tally.truncated, tally.completion_tokens, tally.ttft)


def _nothing(shadow: Exchange, status: int, reason: str) -> _Answer:
    shadow.status, shadow.reason = status, reason
    return _Answer(failed=True, empty=False, truncated=False, tokens=0, ttft=None)
