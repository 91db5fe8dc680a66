"""An earlier release made to serve again, as a new one that must prove itself.

What was never good is not repeated, and a rollback that was cut off is continued, not rolled back.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from llmops.errors import InputError
from llmops.events import Finished, Flow, Reviewed
from llmops.opening import ANY_TIME, Gate, admit, closed_to_repeat, until_open
from llmops.permitting import begun_in_emergency, findings_on, permit
from llmops.planning import Plan
from llmops.policies import Finding, blocking
from llmops.reconciling import Clock, Sleep, desired_of, reconcile, record, tidy, update
from llmops.releases import Emergency, History, Release, records
from llmops.targets import Operator
from llmops.workflow.by_hand import going, take_back


def rollback(
    operator: Operator,
    service: str,
    number: int | None = None,
    *,
    by: str = "",
    clock: Clock = time.time,
    gate: Gate = ANY_TIME,
    sleep: Sleep = time.sleep,
) -> Flow[Finished]:
    """Make a new release that repeats an earlier one: the last good before now, or `number`.

    It is not watched on some of the traffic first: who rolls back cannot wait, and it was good.
    Without a number, a release that is watched on some of the traffic is taken back instead,
    whoever watches it; `by` (user and host) is recorded.

    Raises:
        InputError: When there is no such release, or it was never good.
        PolicyError: When a policy forbids by now what was allowed then.
        RefusedError: When the service may not be changed now.
    """
    history = operator.store.read(service)[0]
    if number is None and going(history) is not None:
        return (yield from take_back(operator, history, by, clock, sleep))
    while True:
        with operator.lock(service, "rolled back"):
            history = operator.store.read(service)[0]
            earlier = _cut_off(history, number) or _to_repeat(history, number)
            live = history.live
            plan = replace(earlier.plan, upkeep=live.plan.upkeep) if live else earlier.plan
            changed = live is None or live.plan.identity != plan.identity
            look = partial(closed_to_repeat, operator, earlier.number, plan)
            forbidden = yield from _forbidden(operator, history, earlier, plan, gate, clock())
            shut = look(clock()) if changed else None
            admit(shut, gate)
            if shut is None or gate.emergency is not None:
                emergency = gate.emergency if shut or forbidden else None
                return (yield from _rolled_back(operator, plan, earlier, changed, emergency, clock))
        yield from until_open(look, clock, sleep)


def _forbidden(
    operator: Operator, history: History, earlier: Release, plan: Plan, gate: Gate, now: float
) -> Flow[tuple[Finding, ...]]:
    """What of the policies an emergency sets aside, where the rollback changes anything.

    Waiting is no help against a policy, so it is not waited for.

    Raises:
        PolicyError: When a finding blocks, and it is no emergency.
    """
    live = history.live
    if live is not None and live.plan.identity == plan.identity:
        return ()
    findings = findings_on(operator, plan, now)
    yield Reviewed((), findings)
    if begun_in_emergency(history, plan, earlier.number):
        return ()
    permit(findings, gate.emergency)
    return blocking(findings)


def _rolled_back(
    operator: Operator,
    plan: Plan,
    earlier: Release,
    changed: bool,
    emergency: Emergency | None,
    clock: Clock,
) -> Flow[Finished]:
    """The earlier release, repeated as `plan`."""
    recorded = record(
        operator, plan, changed, clock,
        rollback_of=earlier.number, emergency=emergency, going_back=True,
    )  # fmt: skip
    way = "rolling" if plan.strategy == "canary" else plan.strategy
    desired = replace(desired_of(plan, recorded.number), strategy=way)
    yield from reconcile(operator, plan.service, desired, clock)
    if not changed:
        yield from operator.mend(plan.service)
    tidy(operator, plan.service)
    update(operator, plan.service, records.arrived)
    live = operator.store.read(plan.service)[0].live
    finished = Finished(live, changed, operator.url(plan.service))
    yield finished
    return finished


def _cut_off(history: History, number: int | None) -> Release | None:
    """The live release, when a rollback that was interrupted made it and has not ended.

    Without this, saying `llmops rollback` again after a crash would roll back the rollback. What is
    seen of the runtime does not tell: what is being deleted may be seen no more.
    """
    live = history.live
    return live if number is None and live is not None and live.going_back else None


def _to_repeat(history: History, number: int | None) -> Release:
    if not history.releases:
        raise InputError(f"no service '{history.service}' to roll back")
    good = [r for r in history.releases if r.verified_at is not None]
    if number is None:
        earlier = history.last_good_before
        if earlier is None:
            raise InputError(
                f"{history.service} has no earlier good release",
                hint=f"llmops history {history.service}",
            )
        return earlier
    found = history.find(number)
    if found is None or found.verified_at is None:
        known = ", ".join(str(release.number) for release in good) or "none"
        raise InputError(
            f"{history.service} has no good release {number}", hint=f"good ones are: {known}"
        )
    return found


__all__ = ["rollback"]
