"""A deployment made so: planned, agreed to, recorded, reconciled until it serves.

What was agreed to is what is done: a plan whose facts have changed since is refused, or, where
nobody looked at it, made anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial

from llmops.errors import RefusedError
from llmops.events import Event, Finished, Flow, KeyMade, Planned, Progress
from llmops.opening import ANY_TIME, Gate, admit, closed_to, until_open
from llmops.planning import Plan, make_plan
from llmops.reconciling import Clock, Sleep, desired_of, reconcile, record, tidy, update
from llmops.releases import Emergency, records
from llmops.spec import Deployment
from llmops.targets import Operator
from llmops.watched import strategy
from llmops.workflow.proposing import Planner, Proposal, propose

Confirm = Callable[[Planned], bool]

MAX_PLANS = 5
"""Plans of one unattended deploy; what changes more often than that is not settling."""


def deploy(
    operator: Operator,
    deployment: Deployment,
    *,
    confirm: Confirm = lambda _: True,
    unattended: bool = False,
    planner: Planner = make_plan,
    clock: Clock = time.time,
    gate: Gate = ANY_TIME,
    sleep: Sleep = time.sleep,
) -> Flow[Finished]:
    """Make the deployment so: plan, ask, record a release, and reconcile until it serves.

    Args:
        operator: The target.
        deployment: What is asked for.
        confirm: Asked with the plan before anything is changed.
        unattended: Nobody looks at the plan: where its facts have changed since it was made, it is
            made again, instead of refused.
        planner: What makes the plan of the facts.
        clock: Unix seconds.
        gate: What to do where the service may not be changed now.
        sleep: How to pass seconds until it may, or while a release is watched.

    Raises:
        BusyError: At once, when another writer is at work on the service.
        RefusedError: When the plan refuses, the user does, the facts have changed meanwhile, or the
            service may not be changed now.
        TargetError: When the release failed; `serving` tells whether the last good one serves.
    """

    closed = partial(closed_to, operator, deployment)

    def admitted(planned: Planned) -> bool:
        admit(closed(planned, clock()), gate)
        return confirm(planned)

    while True:
        with operator.lock(deployment.name, "deployed"):
            planned = yield from _agreed(operator, deployment, admitted, unattended, planner, clock)
            shut = closed(planned, clock())
            if shut is None or gate.emergency is not None:
                emergency = gate.emergency if shut else None
                return (yield from _deployed(operator, planned, emergency, clock, sleep))
        yield from until_open(partial(closed, planned), clock, sleep)
        confirm = confirm if unattended else partial(_as_agreed, planned)


def _as_agreed(agreed: Planned, planned: Planned) -> bool:
    """Whether a plan that is made after a wait is the one that was agreed to before it."""
    one, other = agreed.plan, planned.plan
    if (one.identity, one.facts_digest) != (other.identity, other.facts_digest):
        raise _outdated()
    return True


def _deployed(
    operator: Operator, planned: Planned, emergency: Emergency | None, clock: Clock, sleep: Sleep
) -> Flow[Finished]:
    """What was agreed to, made so."""
    made = planned.plan
    way = yield from strategy(operator, made)
    recorded = record(operator, made, planned.changed, clock, emergency=emergency)
    desired = replace(desired_of(made, recorded.number), strategy=way)
    yield from reconcile(operator, made.service, desired, clock, sleep)
    if not planned.changed:
        yield from operator.mend(made.service)
    yield from _keys(operator, made)
    tidy(operator, made.service)
    update(operator, made.service, records.arrived)
    release = operator.store.read(made.service)[0].live
    finished = Finished(release, planned.changed, operator.url(made.service))
    yield finished
    return finished


def _agreed(
    operator: Operator,
    deployment: Deployment,
    confirm: Confirm,
    unattended: bool,
    planner: Planner,
    clock: Clock,
) -> Flow[Planned]:
    """A plan that was agreed to and whose facts still hold after that.

    A shown plan whose facts have changed while it was being looked at is refused: what was agreed
    to is not what would be done.
    """
    for _ in range(MAX_PLANS if unattended else 1):
        proposal = yield from propose(operator, deployment, planner, clock)
        planned = proposal.planned
        if planned.changed and not confirm(planned):
            raise RefusedError("nothing was changed")
        if not planned.changed or (yield from _still_true(operator, proposal, planner)):
            return planned
        if unattended:
            yield Progress("plan", "what it was made of has changed meanwhile: once more")
    raise _outdated()


def _outdated() -> RefusedError:
    return RefusedError(
        "what the plan was made of has changed since it was shown",
        hint="deploy again: it is planned anew",
    )


def _still_true(operator: Operator, proposal: Proposal, planner: Planner) -> Flow[bool]:
    """Whether the facts of a plan are what they were when it was made."""
    facts = yield from operator.resolve(proposal.governed)
    made = planner(proposal.governed, facts)
    return made.facts_digest == proposal.planned.plan.facts_digest


def _keys(operator: Operator, plan: Plan) -> Generator[Event, None, None]:
    """Make the declared keys that are missing."""
    have = {key.name for key in operator.keys(plan.service) if key.revoked_at is None}
    for name in plan.keys:
        if name not in have:
            _, text = operator.create_key(plan.service, name)
            yield KeyMade(plan.service, name, text)


__all__ = ["Confirm", "deploy"]
