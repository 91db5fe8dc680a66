"""The live release repeated beside itself, for what its machine needs. Nobody notices it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from llmops.errors import InputError
from llmops.events import Finished, Flow
from llmops.reconciling import Clock, desired_of, reconcile, record
from llmops.releases import Desired
from llmops.targets import Operator


def move(
    operator: Operator,
    service: str,
    needed: Callable[[], str | None],
    *,
    clock: Clock = time.time,
) -> Flow[Finished]:
    """Repeat the live release beside itself: the new replicas are up and verified before the old
    ones go. What an earlier run left half done is finished first.

    Args:
        operator: The target.
        service: Which service.
        needed: Asked once everything is settled: None when nothing has to move; otherwise the mark
            that keeps the new release's pods apart, empty where they may be beside the old ones.
        clock: Unix seconds.

    Raises:
        InputError: When nothing of the service serves.
        TargetError: When the new replicas did not come up; the old ones serve on.
    """
    with operator.lock(service, "moved"):
        live = operator.store.read(service)[0].live
        if live is None:
            raise InputError(
                f"{service} has no live release to move", hint=f"llmops status {service}"
            )
        staging = operator.store.read(service)[0].staging
        wanted = staging if staging and staging.rollback_of == live.number else live
        yield from reconcile(operator, service, desired_of(wanted.plan, wanted.number), clock)
        live = operator.store.read(service)[0].live or live
        apart = needed()
        if apart is not None:
            plan = replace(live.plan, apart=apart or live.plan.apart)
            recorded = record(operator, plan, True, clock, rollback_of=live.number)
            # Whatever its own strategy: a move is for nobody to notice.
            desired = Desired(recorded.number, "rolling", plan.drain_seconds)
            yield from reconcile(operator, service, desired, clock)
        finished = Finished(
            operator.store.read(service)[0].live, apart is not None, operator.url(service)
        )
        yield finished
        return finished


__all__ = ["move"]
