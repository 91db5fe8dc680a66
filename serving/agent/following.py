"""Following an order: what the agent says of it, until it has ended, or the agent is gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from llmops.errors import UnreachableError
from llmops.events import Flow, Progress
from serving.agent import telling
from serving.agent.orders import Orders, Ref
from serving.agent.pace import PACE, Pace
from serving.agent.presence import Presence, Watch
from serving.agent.wire import parse_events
from serving.agent.words import Outcome

QUIET = 30.0
"""Seconds without a word on an order after which it is told that the agent lives all the same."""


class Follower:
    """Follows orders of a store."""

    def __init__(
        self,
        orders: Orders,
        watch: Watch,
        *,
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace = PACE,
    ) -> None:
        self._orders, self._watch = orders, watch
        self._elapsed, self._sleep, self._pace = elapsed, sleep, pace

    def follow(self, ref: Ref) -> Flow[Outcome]:
        """Tell what happens until the order has ended.

        Raises:
            UnreachableError: When the agent gives no sign of life; the order stays.
        """
        piece, heard_at = 0, self._elapsed()
        while True:
            outcome = self._orders.outcome(ref)  # before the events, so that none is missed
            for number, documents in self._orders.events(ref, piece):
                piece, heard_at = number, self._elapsed()
                yield from parse_events(documents)
            if outcome is not None:
                return outcome
            yield from self._told(ref, self._watch.look(), self._elapsed() - heard_at)
            self._sleep(self._pace.look)

    def _told(self, ref: Ref, presence: Presence, quiet: float) -> Flow[None]:
        """What there is to say of the agent, when it says nothing itself."""
        lease = presence.lease
        if lease is None or lease.ended or presence.silent > self._pace.lost:
            raise self._lost(ref, presence)
        if not presence.alive:
            silent = telling.seconds(presence.silent)
            reason = f"{telling.who(lease)} gives no sign of life since {silent}"
            yield Progress("agent", reason, presence.silent, self._pace.lost)
        elif quiet > QUIET:
            mine = [w for w in lease.work if (w.service, w.number) == (ref.service, ref.number)]
            at = f"is at it: {mine[0].text}" if mine and mine[0].text else "has not begun it yet"
            yield Progress("agent", f"{telling.who(lease)} lives, and {at}", quiet)

    def _lost(self, ref: Ref, presence: Presence) -> UnreachableError:
        gone = self._watch.gone(presence)
        return UnreachableError(
            f"{gone.message}; the order stays: whichever agent works for this store next goes on"
            " with it",
            hint=f"{gone.hint}; the same command then follows it, and llmops status"
            f" {ref.service} tells what serves",
        )

    def taken_back(self, ref: Ref, by: str, at: float, seconds: float) -> None:
        """Have the order taken back, and wait until it is; at most so long, or while the agent
        lives."""
        self._orders.cancel(ref, by, at)
        until = self._elapsed() + seconds
        while self._orders.outcome(ref) is None and self._elapsed() < until:
            if not self._watch.look().alive:
                return
            self._sleep(self._pace.look)
