"""Requests that were in flight when an engine died: tried again one after the other, and refused
once one is known to end it.

Many are in flight when an engine dies, and most had no part in it. So a first death makes suspects
of them and refuses none. A suspect begins only when those before it have begun their answers; one
that was in flight at two deaths, with other suspects beside it, begins only when none is in flight.
So a further death has one culprit, which is quarantined. A suspect that is answered whole is
cleared, and with it all requests that ask the same.

Requests are known by a keyed digest of what the engine gets, less whether it streams. The key is
random and stays in the runtime, so nobody who sees a digest can try prompts on it. llmops' own
requests are never suspected, and nothing is where a death is known to come from outside of the
engine. Not seen are requests whose client hung up before the death was noticed.

What is remembered is bounded in number and in time, by a clock that nobody sets. Each gateway has
its own memory and hears of the others' (`told`, `hear`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.gateway.answers import Refusal
from serving.gateway.exchange import Exchange
from serving.gateway.metrics import Metrics

LEFT_OUT = frozenset({"stream", "stream_options"})
"""Fields that change how an answer is sent, and not what the engine computes."""
KNOWN = 1024
"""Requests that one gateway remembers as suspects, and as many in quarantine; of more the oldest
are forgotten."""
SUSPECTED = 600.0
"""Seconds that a suspicion lasts after the last death."""
QUARANTINED = 3600.0
"""Seconds that a quarantine lasts."""
STEP = 5.0
"""Seconds for which a suspect that has not begun its answer keeps the next one waiting, where the
service has answered since the last death. An answer that is no stream begins when it is whole. The
longer this is, the fewer are beside the culprit at its second death, and the fewer come to their
turn while they have patience."""
PATIENCE = 60.0
"""Seconds that a suspect waits for those before it, from when the service answers again."""
DIGEST = 32
"""Characters of a digest, of four bits each."""
DEATHS = 64
"""Last deaths of a service's engines of which is known who was in flight."""

Known = tuple[str, str]
"""A service, and the digest of a request to it."""


@dataclass(slots=True)
class _Suspicion:
    deaths: int
    last: str
    """Which death was the last."""
    since: float


@dataclass(slots=True)
class _Lane:
    """The suspects of one service that are in flight, and the line of those that will be."""

    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    flying: set[Flight] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    answers: float | None = None
    """Since when something is answered after the last death, in the loop's seconds; None while
    nothing is."""
    at_deaths: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)

    def at(self, death: str) -> frozenset[str]:
        """The suspects that were in flight when a death was first told of."""
        if death not in self.at_deaths:
            self.at_deaths[death] = frozenset(flight.likeness for flight in self.flying)
            _shorten(self.at_deaths, DEATHS)
        return self.at_deaths[death]


class Quarantine:
    """What one gateway knows of requests that may end an engine.

    Args:
        secret: What the digests' key is made of; all gateways of a runtime have the same.
        metrics: Where it is counted.
        on: Whether anything is suspected at all.
        now: Seconds that only go forward.
    """

    def __init__(
        self,
        secret: bytes,
        metrics: Metrics,
        *,
        on: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = hmac.digest(secret, b"quarantine", "sha256")
        self._metrics = metrics
        self._on = on
        self._now = now
        self._suspects: OrderedDict[Known, _Suspicion] = OrderedDict()
        self._refused: OrderedDict[Known, float] = OrderedDict()
        self._others: dict[Known, int] = {}
        self._others_refused: frozenset[Known] = frozenset()
        self._lanes: dict[str, _Lane] = {}

    def admit(self, exchange: Exchange, service: str, checked: Mapping[str, Any]) -> None:
        """Note what a request asks for.

        Args:
            exchange: The request.
            service: Whose engine it is for.
            checked: What the engine gets.

        Raises:
            Refusal: 422 when its like is in quarantine.
        """
        if not self._on or (exchange.key is not None and exchange.key.operator):
            return
        asked = {name: value for name, value in checked.items() if name not in LEFT_OUT}
        text = json.dumps([exchange.path, asked], sort_keys=True).encode()
        exchange.likeness = hmac.new(self._key, text, hashlib.sha256).hexdigest()[:DIGEST]
        self._forget()
        self.look(exchange, (service, exchange.likeness))

    def look(self, exchange: Exchange, known: Known) -> None:
        """Let a request go on.

        Raises:
            Refusal: 422 when its like is in quarantine.
        """
        refused = known in self._refused or known in self._others_refused
        exchange.suspected = refused or self.deaths(known) > 0
        if refused:
            self.count(known[0], "refused")
            raise in_quarantine()

    @contextlib.contextmanager
    def flight(self, exchange: Exchange, service: str) -> Iterator[Flight]:
        """A request on its way; what becomes of it is taken from its exchange at the end."""
        flight = Flight(self, exchange, service, self._lanes.setdefault(service, _Lane()))
        try:
            yield flight
            if exchange.cut is None:
                self._clear(flight)
        except Refusal as refusal:
            if refusal.reason == "engine_refused":  # the engine has looked at it, and lives
                self._clear(flight)
            raise
        finally:
            if exchange.died and self.died(flight, exchange.died):
                exchange.failure = "quarantined"
            flight.leave()

    def died(self, flight: Flight, death: str) -> bool:
        """Note that a request was in flight at a death; returns whether it is quarantined now."""
        flight.lane.answers = None
        if not flight.likeness:
            return False
        company = flight.lane.at(death)
        suspicion = self._suspects.setdefault(
            flight.known, _Suspicion(self._others.get(flight.known, 0), "", self._now())
        )
        if suspicion.last != death:
            suspicion.deaths += 1
            suspicion.last, suspicion.since = death, self._now()
            self._suspects.move_to_end(flight.known)
            flight.exchange.suspected = True
            sure = suspicion.deaths > 1 and company == {flight.likeness}
            self.count(flight.service, "quarantined" if sure else "suspected")
            if sure:
                self._refused[flight.known] = self._now()
        self._forget()
        return flight.known in self._refused

    def deaths(self, known: Known) -> int:
        """Deaths that a suspect was in flight at; 0 for one that is none."""
        own = self._suspects.get(known)
        return own.deaths if own is not None else self._others.get(known, 0)

    def figures(self, service: str) -> dict[str, int]:
        """How many requests to a service are in quarantine, and how many are suspected."""
        self._forget()
        refused = self._refused.keys() | self._others_refused
        suspects = (self._suspects.keys() | self._others.keys()) - refused
        return {
            "quarantined": sum(name == service for name, _ in refused),
            "suspected": sum(name == service for name, _ in suspects),
        }

    def told(self) -> dict[str, Any]:
        """What the other gateways of the runtime are to know: no prompt can be read from it."""
        self._forget()
        return {
            "suspected": [[*known, one.deaths] for known, one in self._suspects.items()],
            "quarantined": [[*known] for known in self._refused],
        }

    def hear(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Go by what the other gateways know, in place of what they knew before."""
        heard = list(told)
        self._others = {(name, one): n for each in heard for name, one, n in each["suspected"]}
        self._others_refused = frozenset(
            (name, one) for each in heard for name, one in each["quarantined"]
        )

    def now(self) -> float:
        """Seconds that only go forward."""
        return self._now()

    def count(self, service: str, event: str) -> None:
        """Count what was done."""
        self._metrics.quarantine.labels(service, event).inc()

    def _clear(self, flight: Flight) -> None:
        if self._suspects.pop(flight.known, None) is not None:
            self.count(flight.service, "cleared")

    def _forget(self) -> None:
        """Forget what is too old or too much."""
        now = self._now()
        while self._suspects and now - next(iter(self._suspects.values())).since > SUSPECTED:
            self._suspects.popitem(last=False)
        while self._refused and now - next(iter(self._refused.values())) > QUARANTINED:
            self._suspects.pop(self._refused.popitem(last=False)[0], None)
        _shorten(self._suspects, KNOWN)
        _shorten(self._refused, KNOWN)


class Flight:
    """One request on its way to an engine, and once more when that dies."""

    def __init__(
        self, quarantine: Quarantine, exchange: Exchange, service: str, lane: _Lane
    ) -> None:
        self._quarantine = quarantine
        self.exchange = exchange
        self.service = service
        self.lane = lane
        self.likeness = exchange.likeness
        self.known = service, exchange.likeness
        self._since = 0.0
        self._begun = False
        self._came = False

    async def take_off(self) -> None:
        """Wait until an engine may be asked: for those before it, where its like is suspected.

        Raises:
            Refusal: 503 when that takes too long, 499 when its client is gone, 422 when its like is
                in quarantine.
        """
        self._quarantine.look(self.exchange, self.known)
        self._came = not self.exchange.suspected
        now = asyncio.get_running_loop().time
        since = now()
        while not self._came:
            try:
                async with asyncio.timeout_at(since + PATIENCE):
                    await self.exchange.unless_gone(self._come())
            except TimeoutError as error:
                # Without an engine nobody's turn has come: only from its first answer on it counts.
                since = max(since, self.lane.answers or now())
                if since + PATIENCE <= now():
                    raise others_first() from error

    def begun(self) -> None:
        """Its answer has begun: the engine has lived through the worst of it."""
        self._begun = True
        if self.lane.answers is None:
            self.lane.answers = asyncio.get_running_loop().time()
        self.lane.changed.set()

    def lost(self, death: str) -> None:
        """The engine, or its replica, is gone, and nothing was answered.

        Args:
            death: Which death it was; empty where it was none, or one from outside.

        Raises:
            Refusal: 422 when its like is in quarantine now.
        """
        if death and self._quarantine.died(self, death):
            raise in_quarantine()
        self.leave()

    def leave(self) -> None:
        """It is in flight no more."""
        self.lane.flying.discard(self)
        self.lane.changed.set()

    async def _come(self) -> None:
        lane = self.lane
        async with lane.line:
            while not self._may():
                lane.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STEP):
                        await lane.changed.wait()
            self._quarantine.look(self.exchange, self.known)  # what came before it may have told
            self._since, self._begun = self._quarantine.now(), False
            self._came = True
            if self.exchange.suspected:
                lane.flying.add(self)

    def _may(self) -> bool:
        if self._quarantine.deaths(self.known) > 1:
            return not self.lane.flying
        return all(other.leaves_room for other in self.lane.flying)

    @property
    def leaves_room(self) -> bool:
        """Whether another suspect may be in flight beside it."""
        if self._quarantine.deaths(self.known) > 1:
            return False
        old = self._quarantine.now() - self._since >= STEP
        return self._begun or (self.lane.answers is not None and old)


def in_quarantine() -> Refusal:
    """For a request that ends engines. Clients of OpenAI's API send a 503 again, and no 422."""
    return Refusal(
        422,
        "request_quarantined",
        "the engine died twice while it answered this request, so it is not tried again: change"
        " it, or tell the operator this answer's request id",
    )


def others_first() -> Refusal:
    """For a suspect whose turn does not come in time."""
    return Refusal(
        503,
        "upstream_gone",
        "the model's replica died with this request and others, which are tried one after the"
        " other; try again",
        kind="server_error",
        headers=(("retry-after", "5"),),
    )


def _shorten(table: OrderedDict[Any, Any], most: int) -> None:
    while len(table) > most:
        table.popitem(last=False)


__all__ = ["Flight", "Quarantine"]
