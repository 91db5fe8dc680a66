"""Whether a change may be made now, and the wait until it may. It holds no lock while it waits.

Bound by the windows and freezes of the policies, and by the service's own window, are deploy,
rollback and destroy. A move off a node is not: that repeats what serves, and is the cluster's own
maintenance. What changes nothing is always allowed, and so is the end of what had begun in time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from llmops.errors import RefusedError
from llmops.events import Planned, Progress
from llmops.planning import Plan
from llmops.policies import (
    FREEZE,
    WINDOW,
    Calendar,
    Closed,
    Policy,
    calendar_of,
    effective,
    is_waived,
)
from llmops.releases import Emergency, History
from llmops.spec import Deployment, Model, recorded_target
from llmops.targets import Observer
from llmops.windows import Window

LONGEST = 1.0
"""Seconds of one sleep: a countdown is seen to run, and a clock that is set is followed."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What whoever asks for a change wants where it may not be made now; by itself, a refusal."""

    wait: bool = False
    """Wait until it may."""
    emergency: Emergency | None = None
    """Make it all the same, and record why and by whom."""


ANY_TIME = Gate()
"""What a change asks for where nobody says otherwise: a refusal while it may not be made."""


def calendar_for(observer: Observer, deployment: Deployment, now: float) -> Calendar:
    """When the service may be changed, less what is waived for it at `now` (Unix seconds)."""
    current = observer.policies.read()[0].current()
    bound = effective(current, deployment).policies
    kept = [_as_waived(policy, bound, deployment.name, now) for policy in bound]
    return calendar_of(kept, deployment.maintenance.window)


def _as_waived(policy: Policy, bound: Sequence[Policy], service: str, now: float) -> Policy:
    """A policy without the windows or freezes that a waiver sets aside for a service."""
    without: dict[str, object] = {}
    if is_waived(bound, WINDOW, policy.layer, service=service, now=now):
        without |= {"windows": None, "except_days": ()}
    if is_waived(bound, FREEZE, policy.layer, service=service, now=now):
        without["freezes"] = ()
    maintenance = policy.maintenance.model_copy(update=without)
    return policy.model_copy(update={"maintenance": maintenance})


def closed_to(observer: Observer, deployment: Deployment, planned: Planned, now: float) -> (
    Closed | None
):  # fmt: skip
    """Why what was planned may not be made now; None while it may, or where it changes nothing."""
    if not planned.changed:
        return None
    calendar = calendar_for(observer, deployment, now)
    history = observer.store.read(deployment.name)[0]
    return None if _begun(history, planned.plan, None, calendar) else calendar.closed(now)


def closed_to_repeat(observer: Observer, earlier: int, plan: Plan, now: float) -> Closed | None:
    """Why an earlier release may not be repeated now as `plan`; None while it may."""
    history = observer.store.read(plan.service)[0]
    calendar = calendar_for(observer, recorded(plan), now)
    return None if _begun(history, plan, earlier, calendar) else calendar.closed(now)


def closed_to_end(observer: Observer, history: History, now: float) -> Closed | None:
    """Why a service may not be destroyed now; None while it may, or where nothing serves."""
    live = history.live
    return calendar_for(observer, recorded(live.plan), now).closed(now) if live else None


def _begun(history: History, plan: Plan, repeats: int | None, calendar: Calendar) -> bool:
    """Whether a run that was cut off had begun it while it might, or in an emergency."""
    left = history.staging
    if left is None or (left.plan.identity, left.rollback_of) != (plan.identity, repeats):
        return False
    return bool(left.emergency) or calendar.closed(left.created_at) is None


def recorded(plan: Plan) -> Deployment:
    """As much of a deployment as policies are chosen by, from a plan that was recorded."""
    target = recorded_target(plan.target)
    window = Window.parse(plan.upkeep.window) if plan.upkeep.window else None
    made = Deployment(name=plan.service, model=Model(source=plan.model.source))
    maintenance = made.maintenance.model_copy(update={"window": window})
    return made.model_copy(update={"target": target, "maintenance": maintenance})


def admit(closed: Closed | None, gate: Gate) -> None:
    """Let a change pass that may be made, is waited for, or cannot wait.

    Raises:
        RefusedError: When it is none of these; with the next opening.
    """
    if closed is not None and not gate.wait and gate.emergency is None:
        raise refusal(closed)


def refusal(closed: Closed) -> RefusedError:
    """That a change may not be made now, and what there is to do."""
    opening = f"opens {closed.opens}; --wait waits for it" if closed.opens else "it does not open"
    return RefusedError(
        f"{closed.reason}: nothing was changed",
        hint=f"{opening}; --emergency REASON does it now, and records why",
        path="" if closed.policy else "maintenance.window",
    )


def until_open(
    look: Callable[[float], Closed | None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Generator[Progress, None, None]:
    """Wait until nothing is closed any more; tell how long that takes.

    Args:
        look: Why it is closed at a moment, in Unix seconds; None when it is open.
        clock: Unix seconds.
        sleep: How to pass seconds.

    Raises:
        RefusedError: When it does not open.
    """
    began = clock()
    now = began
    while (closed := look(now)) is not None:
        if closed.opens_at is None:
            raise refusal(closed)
        reason = f"{closed.reason}; opens {closed.opens}"
        yield Progress("window", reason, now - began, closed.opens_at - began)
        sleep(min(LONGEST, max(0.01, closed.opens_at - now)))
        now = clock()


__all__ = [
    "ANY_TIME", "Gate", "admit", "calendar_for", "closed_to", "closed_to_end", "closed_to_repeat",
    "recorded", "refusal", "until_open",
]  # fmt: skip
