"""What would be done: facts, plan, and what the policies say of both. It changes nothing.

That no change may be made now, because a window is closed, is told and refuses no plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from llmops.events import Flow, Planned, Reviewed
from llmops.knowing import known_of
from llmops.planning import Facts, Plan, make_plan
from llmops.policies import (
    TIMELY,
    Finding,
    PolicyError,
    blocking,
    effective,
    govern,
    review,
    settings,
    spending,
)
from llmops.reconciling import Clock
from llmops.spec import Deployment
from llmops.targets import Observer

Planner = Callable[[Deployment, Facts], Plan]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, the deployment as policies have set it, and what they say of both."""

    planned: Planned
    governed: Deployment
    findings: tuple[Finding, ...]


def plan(
    observer: Observer,
    deployment: Deployment,
    *,
    offline: bool = False,
    planner: Planner = make_plan,
    clock: Clock = time.time,
) -> Flow[Planned]:
    """Look up the facts, plan, and review by the target's policies; changes nothing.

    That no change may be made now, because a window is closed, is told and refuses no plan.

    Raises:
        PolicyError: When a policy refuses it.
        RefusedError: When it cannot run as it is.
    """
    proposal = yield from propose(observer, deployment, planner, clock, offline=offline)
    return proposal.planned


def propose(
    observer: Observer,
    deployment: Deployment,
    planner: Planner,
    clock: Clock,
    *,
    offline: bool = False,
) -> Flow[Proposal]:
    """What `plan` tells, and what of it a deploy goes on with."""
    held = observer.policies.read()[0].current()
    rules = effective(held, deployment)
    governed = govern(deployment, rules)
    facts = yield from observer.resolve(governed, offline=offline)
    made = planner(governed, facts)
    live = observer.store.read(deployment.name)[0].live
    if live is not None:  # where it was moved to is where the next one belongs as well
        made = replace(made, apart=live.plan.apart)
    changed = live is None or live.plan.identity != made.identity
    now = clock()
    known = known_of(observer, governed, rules, facts, now, held)
    paid = spending(rules, governed, made, known)
    made = replace(made, upkeep=replace(made.upkeep, spending=paid))
    planned = Planned(made, live, changed)
    yield planned
    findings = review(rules, governed, made, now=now, known=known)
    yield Reviewed(settings(deployment, rules), findings)
    # What may not be changed now may be planned now.
    refusing = [finding for finding in findings if finding.id not in TIMELY]
    if blocking(refusing):
        raise PolicyError(refusing)
    previewed = yield from observer.preview(made)
    if previewed.changes:
        yield previewed
    return Proposal(planned, governed, findings)


__all__ = ["Planner", "Proposal", "plan", "propose"]
