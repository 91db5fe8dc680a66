"""How a service is looked after, as a plan carries it: when, how carefully, and what is kept.

Nothing of it is part of what runs. So it is left out of a release's identity, and a live release
takes it over from a newer file without a new release.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.spec import Maintenance

FIELDS = frozenset({"window", "canary", "keep_releases", "keep_logs"})
"""What `maintenance` says of it."""

ROUNDING = 1e-9
"""What a budget of exactly so many replicas may miss by the division of floating point."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What a policy lets a service cost, and what its devices do. In US dollars an hour."""

    budget: float
    device: float
    """One accelerator, at the lowest price of the catalogue."""
    by: str
    """The policy."""

    def replicas(self, devices: int) -> int:
        """Most replicas that are paid for, where one has so many devices."""
        return int(self.budget / (self.device * devices) * (1 + ROUNDING))


@dataclass(frozen=True, slots=True)
class Upkeep:
    """When a service may be changed, how a new release is tried, and what stays of old ones."""

    window: str = ""
    """When it may be changed, as `llmops.windows.Window` prints it; empty: at any time."""
    keep_releases: int | None = None
    """How many ended releases stay in the history; None: all."""
    keep_logs: int | None = None
    """Of how many ended releases the logs stay; None: of all."""
    canary_steps: tuple[int, ...] = (10,)
    """Percent of new requests that a release gets while it is watched, one after the other."""
    canary_seconds: float = 300.0
    """How long it is watched with each."""
    canary_failures: int = 2
    """Percent of requests that may fail, or be answered with nothing, beyond those of the last good
    one."""
    canary_truncated: int = 10
    """Percent of answers that may be truncated beyond those of the last good one."""
    canary_slower: int = 50
    """Percent by which the time to first token, and the time per output token, may be above that of
    the last good one."""
    canary_requests: int = 20
    """Requests that both must have answered to be compared."""
    spending: Spending | None = None
    """What bounds its replicas while it runs, beside their own bounds; None where no policy has a
    budget, the price is not known, or the number of replicas is fixed."""


def planned_upkeep(maintenance: Maintenance) -> Upkeep:
    """What a deployment says of it."""
    canary, logs, kept = maintenance.canary, maintenance.keep_logs, maintenance.keep_releases
    return Upkeep(
        window=str(maintenance.window or ""),
        keep_releases=None if kept == "all" else kept,
        keep_logs=None if logs == "all" else logs,
        canary_steps=canary.steps,
        canary_seconds=canary.watch.seconds,
        canary_failures=canary.more_failures,
        canary_truncated=canary.more_truncated,
        canary_slower=canary.slower,
        canary_requests=canary.least_requests,
    )
