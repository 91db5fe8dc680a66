"""What a Lease says about a lock, as a value: read from the object, and written into it.

What others wrote is read tolerantly: a Lease whose times nobody can read is one that has expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clusters.holder import Holder
from clusters.kept import marked
from clusters.model import Manifest
from serving.holders import ago

PURPOSE = "llmops/purpose"
"""Annotation of a Lease: what its holder does."""

COMPONENT = "lock"

DURATION = 60
"""Seconds that a lock outlives its last renewal."""

TOLERANCE = 5.0
"""Seconds that two machines' clocks may be apart without any notice."""


@dataclass(frozen=True, slots=True)
class Record:
    """A lock as recorded. Times are Unix seconds; None where there is none that can be read."""

    holder: str = ""
    """Who holds it; empty when it is free."""
    purpose: str = ""
    acquired: float | None = None
    renewed: float | None = None
    seconds: int = DURATION
    transitions: int = 0
    """How often it has changed hands."""

    @classmethod
    def of(cls, lease: Manifest) -> Record:
        """What the Lease says."""
        spec: dict[str, Any] = lease.get("spec") or {}
        annotations = lease["metadata"].get("annotations") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            purpose=annotations.get(PURPOSE, ""),
            acquired=_seconds(spec.get("acquireTime")),
            renewed=_seconds(spec.get("renewTime")),
            seconds=spec.get("leaseDurationSeconds") or DURATION,
            transitions=spec.get("leaseTransitions") or 0,
        )

    def into(self, lease: Manifest, service: str) -> Manifest:
        """The Lease with this record in it."""
        spec: dict[str, Any] = {
            "holderIdentity": self.holder or None,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": _micro_time(self.acquired),
            "renewTime": _micro_time(self.renewed),
            "leaseTransitions": self.transitions,
        }
        said = {key: value for key, value in spec.items() if value is not None}
        return marked(lease, service, COMPONENT, {PURPOSE: self.purpose}) | {"spec": said}

    def lives(self, now: float) -> bool:
        """Whether it looks held at `now`. A renewal in the future is no sign of life: a clock is
        wrong then, the holder's or ours."""
        if self.renewed is None:
            return False
        return -TOLERANCE <= now - self.renewed < self.seconds + TOLERANCE

    def told(self, service: str, now: float) -> str:
        """Who does what since when, for a person."""
        known = Holder.parse(self.holder)
        who = known.spoken if known else self.holder[:200]
        told = f"{service} is being {self.purpose or 'changed'} by {who}"
        if self.acquired is None:
            return told
        return f"{told} since {_of_day(self.acquired)} ({ago(now - self.acquired)})"

    @property
    def ends(self) -> str:
        """When it expires unless it is renewed, for a person; by the holder's clock."""
        return "an unknown time" if self.renewed is None else _of_day(self.renewed + self.seconds)


def _of_day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _micro_time(at: float | None) -> str | None:
    """As the API's MicroTime is written: RFC 3339 with six digits of a second."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
