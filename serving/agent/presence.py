"""Whether an agent is there, as a command sees it: told within seconds, whatever the clocks say.

The agent's lease counts beats. By the clocks alone an agent is only ever taken to be alive; one
whose lease looks old is watched for longer than a beat takes before it is said to be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from llmops import __version__
from llmops.errors import RefusedError, UnreachableError
from llmops.events import Flow, Progress
from serving.agent import names, telling
from serving.agent.blobs import Blobs
from serving.agent.documents import FORMAT, Kind
from serving.agent.pace import PACE, Pace
from serving.agent.words import Lease

LEASE = Kind(Lease, "the agent's lease")

AHEAD = 5.0
"""Seconds by which an agent's clock may be ahead of ours before it is not believed at all."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What was seen of the agent."""

    lease: Lease | None
    """None where none was ever there."""
    silent: float
    """Seconds since it gave a sign of life."""

    @property
    def alive(self) -> bool:
        lease = self.lease
        return lease is not None and not lease.ended and self.silent < lease.seconds


class Watch:
    """Looks at the agent's lease, and remembers when it last changed.

    Args:
        blobs: The store.
        clock: Unix seconds.
        elapsed: Seconds on a clock that nobody sets.
        sleep: How to pass seconds.
        pace: How often what is looked at.
    """

    def __init__(
        self,
        blobs: Blobs,
        *,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace = PACE,
    ) -> None:
        self._blobs, self._clock, self._elapsed = blobs, clock, elapsed
        self._sleep, self._pace = sleep, pace
        self._beat: tuple[str, int] | None = None
        self._changed_at = 0.0

    def look(self) -> Presence:
        """How the agent is now.

        Raises:
            RefusedError: When its lease is of a format that this version does not know.
        """
        lease, _ = LEASE.read(self._blobs, names.LEASE)
        if lease is None:
            return Presence(None, 0.0)
        now, beat = self._elapsed(), (lease.holder, lease.beat)
        if self._beat is None:
            self._changed_at = now - self._by_the_clocks(lease)
        elif beat != self._beat:
            self._changed_at = now
        self._beat = beat
        return Presence(lease, now - self._changed_at)

    def _by_the_clocks(self, lease: Lease) -> float:
        """How long it has been silent if both clocks are right; long, where one is surely not."""
        age = self._clock() - lease.renewed_at
        return max(0.0, age) if age > -AHEAD else lease.seconds

    def found(self) -> Flow[Lease]:
        """The agent's lease, once it is sure that the agent is there.

        Raises:
            UnreachableError: At once when there never was one, or it has ended; within seconds
                when it gives no sign of life.
            RefusedError: When it cannot read what this version writes.
        """
        presence = self.look()
        began = self._elapsed()
        while not presence.alive:
            waited = self._elapsed() - began
            if presence.lease is None or presence.lease.ended or waited > self._pace.missing:
                raise self.gone(presence)
            reason = f"{telling.who(presence.lease)} was silent for {self._for(presence)}: watching"
            yield Progress("agent", reason, waited, self._pace.missing)
            self._sleep(self._pace.look)
            presence = self.look()
        lease = presence.lease
        assert lease is not None  # noqa: S101 - it is alive
        if FORMAT not in lease.formats:
            raise RefusedError(
                f"{telling.who(lease)} is llmops {lease.version}, which does not read what"
                f" {__version__} writes",
                hint="use the same version of llmops for the command and for its agent",
            )
        return lease

    def _for(self, presence: Presence) -> str:
        return telling.seconds(presence.silent)

    def gone(self, presence: Presence) -> UnreachableError:
        """That no agent is there, and what is known of the last one."""
        where, lease = self._blobs.where, presence.lease
        hint = f"start it on the machine that serves: llmops agent --store {where}"
        if lease is None:
            return UnreachableError(f"no agent has ever worked for {where}", hint=hint)
        if lease.ended:
            ago = telling.seconds(max(0.0, self._clock() - lease.renewed_at))
            return UnreachableError(f"{telling.who(lease)} was stopped {ago} ago", hint=hint)
        return UnreachableError(
            f"{telling.who(lease)} gives no sign of life since {self._for(presence)};"
            f" what runs there may well go on",
            hint=f"is that machine up? systemctl status llmops-agent; or {hint}",
        )


__all__ = ["LEASE", "Presence", "Watch"]
