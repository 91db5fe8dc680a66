"""Parts of the flow for callers that have the lock: a restore, an upgrade. They take none."""

from __future__ import annotations

import time

from llmops.events import Flow
from llmops.reconciling import Clock, desired_of, reconcile, record
from llmops.releases import Desired, Emergency, Release
from llmops.targets import Operator


def repeat(
    operator: Operator,
    release: Release,
    *,
    emergency: Emergency | None = None,
    clock: Clock = time.time,
) -> Flow[Release]:
    """For a caller that has the lock: repeat a release as a new one that must prove itself, where
    nothing serves. What an earlier run began of it is continued; the one that is recorded as live
    is not started in its stead.

    Raises:
        TargetError: When it did not come up.
    """
    service = release.service
    recorded = record(
        operator, release.plan, True, clock, rollback_of=release.number, emergency=emergency
    )
    live = operator.store.read(service)[0].live
    desired = Desired(
        recorded.number,
        "recreate",
        release.plan.drain_seconds,
        frozenset() if live is None else frozenset({live.number}),
    )
    yield from reconcile(operator, service, desired, clock)
    return operator.store.read(service)[0].live or recorded


def settle(operator: Operator, live: Release, *, clock: Clock = time.time) -> Flow[None]:
    """For a caller that has the lock: bring the live release back where it is lost, and have it
    answer with a real generation.

    Raises:
        TargetError: When it cannot be brought back, or does not answer.
    """
    yield from reconcile(operator, live.service, desired_of(live.plan, live.number), clock)
    yield from operator.verify(live)


__all__ = ["repeat", "settle"]
