"""The end of a service, of which only its record stays. What serves is drained first."""

from __future__ import annotations

import time
from functools import partial

from llmops.errors import InputError
from llmops.events import Finished, Flow
from llmops.opening import ANY_TIME, Gate, admit, closed_to_end, until_open
from llmops.reconciling import Clock, Sleep, reconcile, update
from llmops.releases import Desired, Emergency, History, records
from llmops.targets import Operator


def destroy(
    operator: Operator,
    service: str,
    *,
    clock: Clock = time.time,
    gate: Gate = ANY_TIME,
    sleep: Sleep = time.sleep,
) -> Flow[Finished]:
    """Drain and remove every release of the service, its keys, and a runtime nobody else uses.

    Raises:
        InputError: When the service was never deployed here.
        RefusedError: When the service may not be changed now.
    """
    while True:
        with operator.lock(service, "destroyed"):
            history = operator.store.read(service)[0]
            shut = closed_to_end(operator, history, clock())
            admit(shut, gate)
            if shut is None or gate.emergency is not None:
                emergency = gate.emergency if shut else None
                return (yield from _destroyed(operator, history, emergency, clock))
        yield from until_open(partial(closed_to_end, operator, history), clock, sleep)


def _destroyed(
    operator: Operator, history: History, emergency: Emergency | None, clock: Clock
) -> Flow[Finished]:
    """Nothing of the service left, but its record."""
    service = history.service
    # What runs without a record, because that was lost, is known by the target alone, and goes.
    if not history.releases and not operator.observe(service):
        known = ", ".join(operator.store.services()) or "none"
        raise InputError(f"no service '{service}'", hint=f"there are: {known}")
    ended = update(operator, service, lambda h: records.end(h, clock(), emergency))
    changed = ended != history or bool(operator.observe(service))
    drain = max((release.plan.drain_seconds for release in history.releases), default=0.0)
    yield from reconcile(operator, service, Desired(None, drain_seconds=drain), clock)
    yield from operator.retire(service, keep_logs=False)
    finished = Finished(None, changed, "")
    yield finished
    return finished


def clear(operator: Operator, service: str, *, clock: Clock = time.time) -> Flow[None]:
    """For a caller that has the lock: drain and remove every release; records and keys stay."""
    releases = operator.store.read(service)[0].releases
    drain = max((release.plan.drain_seconds for release in releases), default=0.0)
    yield from reconcile(operator, service, Desired(None, drain_seconds=drain), clock)


__all__ = ["clear", "destroy"]
