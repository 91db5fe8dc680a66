"""The one flow, composed over a target's ports: resolve, plan, apply, verify.

It knows no SDK and prints nothing: it yields events. What it means to do is recorded before it is
done, by compare-and-swap, so that a run killed at any instant is continued by the next. All that
`pulumi up` and `llmops deploy` do passes through here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial

from llmops.catalog import Catalogue, load_catalogue
from llmops.errors import (
    InputError,
    RefusedError,
)
from llmops.events import (
    Event,
    Finished,
    Flow,
    KeyMade,
    Planned,
    Previewed,
    Progress,
    Reviewed,
)
from llmops.opening import (
    Gate,
    admit,
    closed_to,
    closed_to_end,
    closed_to_repeat,
    until_open,
)
from llmops.planning import Facts, Plan, make_plan
from llmops.policies import (
    FREEZE,
    WINDOW,
    Effective,
    Finding,
    Known,
    PolicyError,
    blocking,
    effective,
    govern,
    review,
    settings,
)
from llmops.reconciling import (
    Clock,
    Sleep,
    desired_of,
    reconcile,
    record,
    tidy,
    update,
)
from llmops.releases import (
    Desired,
    Done,
    Emergency,
    History,
    Observed,
    Release,
    next_step,
    records,
)
from llmops.spec import Deployment
from llmops.targets import KeyInfo, Observer, Operator
from llmops.watched import strategy

Planner = Callable[[Deployment, Facts], Plan]
Confirm = Callable[[Planned], bool]

ANY_TIME = Gate()
"""What a change asks for where nobody says otherwise: a refusal while the windows are closed."""

TIMELY = frozenset({WINDOW, FREEZE})
"""Findings that pass by themselves: what may not be changed now may be planned now."""

MAX_PLANS = 5
"""Plans of one unattended deploy; what changes more often than that is not settling."""


@dataclass(frozen=True, slots=True)
class _Proposal:
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
    proposal = yield from _propose(observer, deployment, planner, clock, offline=offline)
    return proposal.planned


def _propose(
    observer: Observer,
    deployment: Deployment,
    planner: Planner,
    clock: Clock,
    *,
    offline: bool = False,
) -> Flow[_Proposal]:
    rules = effective(observer.policies.read()[0].current(), deployment)
    governed = govern(deployment, rules)
    facts = yield from observer.resolve(governed, offline=offline)
    made = planner(governed, facts)
    live = observer.store.read(deployment.name)[0].live
    if live is not None:  # where it was moved to is where the next one belongs as well
        made = replace(made, apart=live.plan.apart)
    changed = live is None or live.plan.identity != made.identity
    planned = Planned(made, live, changed)
    yield planned
    now = clock()
    keys = _keys_in_use(observer, deployment.name, rules, now)
    known = Known.of(facts, observer.versions(), _prices(rules), keys)
    findings = review(rules, governed, made, now=now, known=known)
    yield Reviewed(settings(deployment, rules), findings)
    refusing = [finding for finding in findings if finding.id not in TIMELY]
    if blocking(refusing):
        raise PolicyError(refusing)
    if changes := observer.preview(made):
        yield Previewed(changes)
    return _Proposal(planned, governed, findings)


def _keys_in_use(
    observer: Observer, service: str, rules: Effective, now: float
) -> tuple[KeyInfo, ...]:
    """The keys that open something, where a policy bounds how old they may be: to see them may
    need a right that a plan needs for nothing else."""
    if rules.value("security.key_age") is None:
        return ()
    return tuple(key for key in observer.keys(service) if key.state(now) == "valid")


def _prices(rules: Effective) -> Catalogue | None:
    """The catalogue, where a policy bounds what a service may cost."""
    return load_catalogue() if rules.value("budget.usd_per_hour") is not None else None


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
    release = operator.store.read(made.service)[0].live
    finished = Finished(release, planned.changed, operator.url(made.service))
    yield finished
    return finished


def rollback(
    operator: Operator,
    service: str,
    number: int | None = None,
    *,
    clock: Clock = time.time,
    gate: Gate = ANY_TIME,
    sleep: Sleep = time.sleep,
) -> Flow[Finished]:
    """Make a new release that repeats an earlier one: the last good before now, or `number`.

    It is not watched on some of the traffic first: who rolls back cannot wait, and it was good.

    Raises:
        InputError: When there is no such release, or it was never good.
        RefusedError: When the service may not be changed now.
    """
    while True:
        with operator.lock(service, "rolled back"):
            history = operator.store.read(service)[0]
            earlier = _unsettled_rollback(operator, history, number, clock())
            earlier = earlier or _to_repeat(history, number)
            live = history.live
            plan = replace(earlier.plan, upkeep=live.plan.upkeep) if live else earlier.plan
            changed = live is None or live.plan.identity != plan.identity
            look = partial(closed_to_repeat, operator, earlier.number, plan)
            shut = look(clock()) if changed else None
            admit(shut, gate)
            if shut is None or gate.emergency is not None:
                emergency = gate.emergency if shut else None
                return (yield from _rolled_back(operator, plan, earlier, changed, emergency, clock))
        yield from until_open(look, clock, sleep)


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
        operator, plan, changed, clock, rollback_of=earlier.number, emergency=emergency
    )
    way = "rolling" if plan.strategy == "canary" else plan.strategy
    desired = replace(desired_of(plan, recorded.number), strategy=way)
    yield from reconcile(operator, plan.service, desired, clock)
    if not changed:
        yield from operator.mend(plan.service)
    tidy(operator, plan.service)
    live = operator.store.read(plan.service)[0].live
    finished = Finished(live, changed, operator.url(plan.service))
    yield finished
    return finished


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


def repeat(operator: Operator, release: Release, *, clock: Clock = time.time) -> Flow[Release]:
    """For a caller that has the lock: repeat a release as a new one that must prove itself, where
    nothing serves. What an earlier run began of it is continued; the one that is recorded as live
    is not started in its stead.

    Raises:
        TargetError: When it did not come up.
    """
    service = release.service
    recorded = record(operator, release.plan, True, clock, rollback_of=release.number)
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


def clear(operator: Operator, service: str, *, clock: Clock = time.time) -> Flow[None]:
    """For a caller that has the lock: drain and remove every release; records and keys stay."""
    releases = operator.store.read(service)[0].releases
    drain = max((release.plan.drain_seconds for release in releases), default=0.0)
    yield from reconcile(operator, service, Desired(None, drain_seconds=drain), clock)


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
        proposal = yield from _propose(operator, deployment, planner, clock)
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


def _still_true(operator: Operator, proposal: _Proposal, planner: Planner) -> Flow[bool]:
    """Whether the facts of a plan are what they were when it was made."""
    facts = yield from operator.resolve(proposal.governed)
    made = planner(proposal.governed, facts)
    return made.facts_digest == proposal.planned.plan.facts_digest


def _unsettled_rollback(
    operator: Operator, history: History, number: int | None, now: float
) -> Release | None:
    """The live release, when an interrupted rollback made it and has not ended.

    Without this, saying `llmops rollback` again after a crash would roll back the rollback.
    """
    live = history.live
    if number is not None or live is None or live.rollback_of is None:
        return None
    observed = Observed(history, operator.observe(history.service))
    settled = isinstance(next_step(observed, desired_of(live.plan, live.number), now), Done)
    return None if settled else live


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


def _keys(operator: Operator, plan: Plan) -> Generator[Event, None, None]:
    """Make the declared keys that are missing."""
    have = {key.name for key in operator.keys(plan.service) if key.revoked_at is None}
    for name in plan.keys:
        if name not in have:
            _, text = operator.create_key(plan.service, name)
            yield KeyMade(plan.service, name, text)


__all__ = [
    "Confirm", "clear", "deploy", "destroy", "move", "plan", "repeat", "rollback", "settle",
]  # fmt: skip
