"""A watch that nobody goes on with, because its command was killed: gone on with by the runtime."""

from __future__ import annotations

import time

from llmops.events import Flow
from llmops.reconciling import Clock, Sleep, desired_of, reconcile, tidy, update
from llmops.releases import records
from llmops.targets import Operator


def resume(
    operator: Operator, service: str, *, clock: Clock = time.time, sleep: Sleep = time.sleep
) -> Flow[bool]:
    """Go on where a service's traffic is shared and nobody is at it: watch to the end, or move all
    traffic to where it belongs by the record. Nothing else is begun.

    Returns:
        Whether there was anything to do.

    Raises:
        BusyError: When somebody is at it.
        TargetError: When the release was worse, or it cannot be done; as of a deploy.
    """
    with operator.lock(service, "watched"):
        history = operator.store.read(service)[0]
        wanted = history.on_watch or history.live
        if wanted is None or sum(seen.share > 0 for seen in operator.observe(service)) < 2:
            return False
        desired = desired_of(wanted.plan, wanted.number)
        yield from reconcile(operator, service, desired, clock, sleep)
        tidy(operator, service)
        update(operator, service, records.arrived)
        return True


__all__ = ["resume"]
