"""How many replicas a new release must have until the traffic of the one before it has come over.

Nobody asks a release that is on its way, so the load says that it needs none; and when it is given
the traffic of one that runs eight replicas, a single one would let requests queue for as long as
the other seven take to start. So it follows the number of the one before it. Once it has all the
traffic that number is held for the settle time, in which its own load comes to be known.

Pure: what gateways tell and what was remembered go in, a floor and what to remember come out. It
never waits for ever: replicas that do not come within `PATIENCE` have no room, and then what runs
must do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

PATIENCE = 300.0
"""Seconds for which replicas that are missing are waited for, once one answers."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What is remembered between two looks; empty at first. Times in Unix seconds."""

    floor: int | None = None
    """Replicas that the release before has, as it was told last; None while nobody has told that
    there is traffic to take over."""
    short_since: float | None = None
    """Since when fewer than those answer; None while enough do."""
    over_at: float | None = None
    """When all of the traffic had been taken over."""

    def document(self) -> dict[str, Any]:
        """The same as JSON's own values."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` gave; an empty one remembers nothing."""
        return cls(**document)

    def told(self, follows: Iterable[int | None], running: int, now: float) -> Handover:
        """After what each gateway has told.

        Args:
            follows: By gateway, the number to follow, or None where all has been taken over;
                nothing while no gateway tells, and then what was told last still holds.
            running: Replicas that answer.
            now: Unix seconds.
        """
        if self.over_at is not None:
            return self
        words = list(follows)
        numbers = [word for word in words if word is not None]
        floor = max(numbers) if numbers else self.floor
        if floor is None:
            return self
        short = running < floor
        since = (self.short_since if self.short_since is not None else now) if short else None
        over = now if words and not numbers else None
        return replace(self, floor=floor, short_since=since, over_at=over)

    def least(self, running: int, now: float, settle: float) -> int:
        """Fewest replicas that there must be now; 0 where there is nothing to take over.

        Args:
            running: Replicas that answer.
            now: Unix seconds.
            settle: Seconds for which the number holds once all the traffic has come.
        """
        if self.floor is None or (self.over_at is not None and now - self.over_at >= settle):
            return 0
        # One in any case: a release is proved by an answer of its own.
        wanted = max(1, self.floor)
        late = self.short_since is not None and now - self.short_since > PATIENCE
        return min(wanted, running) if late and running else wanted

    @property
    def reason(self) -> str:
        """Why there must be so many."""
        if (self.floor or 0) <= 1:
            return "one at least, until it has taken over the requests"
        if self.over_at is None:
            return "as many as the release before it, until it has taken over the requests"
        return "as many as the release before it had, whose requests it has just taken over"
