"""What a service's scaling is told once: bounds, aims and times. Plain values that fit in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from llmops.windows import Window

TOLERANCE = 1.1
"""Load above the aim that adds no replica: without such a band, load at the edge of one would
add and take it in turn."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Other bounds while a window is open."""

    window: Window
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ScalingSettings:
    """What holds for one release of a service; times in seconds."""

    low: int
    """Fewest replicas; 0 lets them all go while nobody asks."""
    high: int
    """Most replicas, whatever the load."""
    target_in_flight: float
    """Requests in flight per replica that is aimed at."""
    target_tokens_per_second: float | None = None
    """Generated tokens a second per replica that is aimed at; None aims at none."""
    queue: int | None = None
    """Requests that may wait inside one replica; more ask for another. None: any number."""
    ttft: float | None = None
    """Objective for the time to first token; None has none."""
    tpot: float | None = None
    """Objective for the time per output token; None has none."""
    percent: float = 99.0
    """Percent of requests that should meet the objectives."""
    warm: int = 0
    """Replicas above what the load needs."""
    schedule: tuple[Scheduled, ...] = ()
    """Other bounds at certain times; of those open at once the highest figures hold."""
    idle_seconds: float = 300.0
    """Without a request for so long, the last replica goes where `low` is 0."""
    settle_seconds: float = 60.0
    """A replica goes only when none within this time was needed more."""
    startup_seconds: float = 60.0
    """From asking for a replica to its first answer, until it has been measured."""
    ceiling: int | None = None
    """Most replicas that the budget pays for; None has no budget."""
    capacity: int | None = None
    """Requests that one replica works on at once; None is not known, and the aims decide alone."""

    def document(self) -> dict[str, Any]:
        """The same as JSON's own values, less what has its default: a field that a later version
        adds changes no document of one that does not use it."""
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json", exclude_defaults=True)
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ScalingSettings:
        """Read what `document` gave.

        Raises:
            ValueError: When a field is missing or of the wrong type.
        """
        return _ADAPTER.validate_python(document)

    def bounds(self, now: float, lead: float) -> tuple[int, int]:
        """Fewest and most replicas at `now`.

        Args:
            now: Unix seconds.
            lead: Seconds that a replica takes to start: a window that opens within them counts.
        """
        open_now = [entry for entry in self.schedule if entry.window.contains(now)]
        coming = [entry for entry in self.schedule if entry.window.contains(now + lead)]
        low = max((entry.low for entry in open_now), default=self.low)
        high = max((entry.high for entry in open_now), default=self.high)
        # What opens soon is made ready; what it would take away stays until it has opened.
        low = max([low, *(entry.low for entry in coming)])
        high = max([high, *(entry.high for entry in coming)])
        most = high if self.ceiling is None else min(high, self.ceiling)
        return min(low, most), most


_ADAPTER: TypeAdapter[ScalingSettings] = TypeAdapter(ScalingSettings)
