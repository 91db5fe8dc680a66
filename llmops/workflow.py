"""The one flow, composed over a target's ports: resolve, plan, apply, verify.

It knows no SDK and prints nothing: it yields events. What it means to do is recorded before it is
done, by compare-and-swap, so that a run killed at any instant is continued by the next. All that
`pulumi up` and `llmops deploy` do passes through here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from llmops.errors import (
    BusyError,
    InputError,
    LlmopsError,
    RefusedError,
    TargetError,
    UnreachableError,
)
from llmops.events import (
    Event,
    Finished,
    Flow,
    KeyMade,
    Planned,
    Previewed,
    Progress,
    StepBegun,
    StepEnded,
)
from llmops.planning import Facts, Plan, make_plan
from llmops.releases import (
    Blocked,
    Conflict,
    Desired,
    Done,
    Drain,
    History,
    Observed,
    Phase,
    Release,
    Remove,
    Shift,
    Stage,
    State,
    Step,
    Verify,
    next_step,
    records,
)
from llmops.spec import Deployment
from llmops.targets import Observer, Operator

Clock = Callable[[], float]
Planner = Callable[[Deployment, Facts], Plan]
Act = Stage | Verify | Shift | Drain | Remove
Confirm = Callable[[Planned], bool]

MAX_PLANS = 5
"""Plans of one unattended deploy; what changes more often than that is not settling."""

MAX_STEPS = 200
"""Steps of one run; a few are usual, and a loop that never ends must not be."""

WRITES = 20
"""Tries of a compare-and-swap; only another writer of the same record makes one fail."""


def plan(
    observer: Observer,
    deployment: Deployment,
    *,
    offline: bool = False,
    planner: Planner = make_plan,
) -> Flow[Planned]:
    """Look up the facts and plan; changes nothing.

    Raises:
        RefusedError: When it cannot run as it is.
    """
    facts = yield from observer.resolve(deployment, offline=offline)
    made = planner(deployment, facts)
    live = observer.store.read(deployment.name)[0].live
    if live is not None:  # where it was moved to is where the next one belongs as well
        made = replace(made, apart=live.plan.apart)
    changed = live is None or live.plan.identity != made.identity
    planned = Planned(made, live, changed)
    yield planned
    if changes := observer.preview(made):
        yield Previewed(changes)
    return planned


def deploy(
    operator: Operator,
    deployment: Deployment,
    *,
    confirm: Confirm = lambda _: True,
    unattended: bool = False,
    planner: Planner = make_plan,
    clock: Clock = time.time,
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

    Raises:
        BusyError: At once, when another writer is at work on the service.
        RefusedError: When the plan refuses, the user does, or the facts have changed meanwhile.
        TargetError: When the release failed; `serving` tells whether the last good one serves.
    """
    with operator.lock(deployment.name, "deployed"):
        planned = yield from _agreed(operator, deployment, confirm, unattended, planner)
        made = planned.plan
        recorded = _record(operator, made, planned.changed, clock)
        yield from _reconcile(operator, made.service, _desired(made, recorded.number), clock)
        if not planned.changed:
            yield from operator.mend(made.service)
        yield from _keys(operator, made)
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
) -> Flow[Finished]:
    """Make a new release that repeats an earlier one: the last good before now, or `number`.

    Raises:
        InputError: When there is no such release, or it was never good.
    """
    with operator.lock(service, "rolled back"):
        history = operator.store.read(service)[0]
        earlier = _unsettled_rollback(operator, history, number, clock())
        earlier = earlier or _to_repeat(history, number)
        live = history.live
        changed = live is None or live.plan.identity != earlier.plan.identity
        recorded = _record(operator, earlier.plan, changed, clock, rollback_of=earlier.number)
        desired = _desired(earlier.plan, recorded.number)
        yield from _reconcile(operator, service, desired, clock)
        if not changed:
            yield from operator.mend(service)
        finished = Finished(operator.store.read(service)[0].live, changed, operator.url(service))
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
        yield from _reconcile(operator, service, _desired(wanted.plan, wanted.number), clock)
        live = operator.store.read(service)[0].live or live
        apart = needed()
        if apart is not None:
            plan = replace(live.plan, apart=apart or live.plan.apart)
            recorded = _record(operator, plan, True, clock, rollback_of=live.number)
            # Whatever its own strategy: a move is for nobody to notice.
            desired = Desired(recorded.number, "rolling", plan.drain_seconds)
            yield from _reconcile(operator, service, desired, clock)
        finished = Finished(
            operator.store.read(service)[0].live, apart is not None, operator.url(service)
        )
        yield finished
        return finished


def destroy(operator: Operator, service: str, *, clock: Clock = time.time) -> Flow[Finished]:
    """Drain and remove every release of the service, its keys, and a runtime nobody else uses.

    Raises:
        InputError: When the service was never deployed here.
    """
    with operator.lock(service, "destroyed"):
        history = operator.store.read(service)[0]
        # What runs without a record, because that was lost, is known by the target alone, and goes.
        if not history.releases and not operator.observe(service):
            known = ", ".join(operator.store.services()) or "none"
            raise InputError(f"no service '{service}'", hint=f"there are: {known}")
        ended = _update(operator, service, lambda h: records.end(h, clock()))
        changed = ended != history or bool(operator.observe(service))
        drain = max((release.plan.drain_seconds for release in history.releases), default=0.0)
        desired = Desired(None, drain_seconds=drain)
        yield from _reconcile(operator, service, desired, clock)
        yield from operator.retire(service, keep_logs=False)
        finished = Finished(None, changed, "")
        yield finished
        return finished


def _desired(plan: Plan, number: int) -> Desired:
    return Desired(number, plan.strategy, plan.drain_seconds)


def _agreed(
    operator: Operator,
    deployment: Deployment,
    confirm: Confirm,
    unattended: bool,
    planner: Planner,
) -> Flow[Planned]:
    """A plan that was agreed to and whose facts still hold after that.

    A shown plan whose facts have changed while it was being looked at is refused: what was agreed
    to is not what would be done.
    """
    for _ in range(MAX_PLANS if unattended else 1):
        planned = yield from plan(operator, deployment, planner=planner)
        if planned.changed and not confirm(planned):
            raise RefusedError("nothing was changed")
        if not planned.changed or (yield from _still_true(operator, deployment, planned, planner)):
            return planned
        if unattended:
            yield Progress("plan", "what it was made of has changed meanwhile: once more")
    raise RefusedError(
        "what the plan was made of has changed since it was shown",
        hint="deploy again: it is planned anew",
    )


def _still_true(
    operator: Operator, deployment: Deployment, planned: Planned, planner: Planner
) -> Flow[bool]:
    """Whether the facts of a plan are what they were when it was made."""
    facts = yield from operator.resolve(deployment)
    return planner(deployment, facts).facts_digest == planned.plan.facts_digest


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
    settled = isinstance(next_step(observed, _desired(live.plan, live.number), now), Done)
    return None if settled else live


def _to_repeat(history: History, number: int | None) -> Release:
    if not history.releases:
        raise InputError(f"no service '{history.service}' to roll back")
    good = [r for r in history.releases if r.verified_at is not None]
    live = history.live
    if number is None:
        earlier = [r for r in good if live is None or r.plan.identity != live.plan.identity]
        if not earlier:
            raise InputError(
                f"{history.service} has no earlier good release",
                hint=f"llmops history {history.service}",
            )
        return earlier[-1]
    found = history.find(number)
    if found is None or found.verified_at is None:
        known = ", ".join(str(release.number) for release in good) or "none"
        raise InputError(
            f"{history.service} has no good release {number}", hint=f"good ones are: {known}"
        )
    return found


def _update(operator: Operator, service: str, edit: Callable[[History], History]) -> History:
    """Write an edited history by compare-and-swap, reading again when another was quicker."""
    for _ in range(WRITES):
        history, version = operator.store.read(service)
        edited = edit(history)
        if edited == history:
            return history
        try:
            operator.store.write(edited, version)
        except Conflict:
            continue
        return edited
    raise TargetError(f"the record of {service} is written by somebody else all the time")


def _record(
    operator: Operator, plan: Plan, changed: bool, clock: Clock, rollback_of: int | None = None
) -> Release:
    """Record what is meant before anything is done; the release that should serve.

    Without a change the live one is returned, and none is recorded.
    """
    chosen: list[Release] = []

    def edit(history: History) -> History:
        if not changed and history.live is not None:
            chosen[:] = [history.live]
            return records.give_up(history, clock())
        history, release = records.begin(history, plan, clock(), rollback_of=rollback_of)
        chosen[:] = [release]
        return history

    _update(operator, plan.service, edit)
    return chosen[0]


def _reconcile(operator: Operator, service: str, desired: Desired, clock: Clock) -> Flow[None]:
    """Observe, decide, act, until what is desired is so.

    Raises:
        TargetError: When it cannot become so, after what it left was removed.
    """
    cause: LlmopsError | None = None
    for _ in range(MAX_STEPS):
        observed = Observed(operator.store.read(service)[0], operator.observe(service))
        step = next_step(observed, desired, clock())
        if isinstance(step, Done):
            return
        if isinstance(step, Blocked):
            if observed.history.live is None:
                yield from _retire_quietly(operator, service)
            raise _failure(service, step, cause) from cause
        try:
            yield from _act(operator, observed, step, clock)
        except BusyError:
            raise  # another holds the lock, and goes on with this release: it has not failed
        except UnreachableError as error:
            serving = observed.history.live is not None
            hint = error.hint or "deploy again: it goes on from here"
            raise UnreachableError(error.message, hint=hint, serving=serving) from error
        except LlmopsError as error:
            if not isinstance(step, (Stage, Verify)):
                raise _unfinished(operator, observed, error) from error
            if _is_live(observed, step.number):
                # The last good one will not start again: what is wanted is not to blame for that.
                desired = replace(desired, given_up=desired.given_up | {step.number})
                cause = cause or error
                yield Progress("stage", f"release {step.number} is lost: {error.message}")
            else:
                cause = error
                _fail(operator, service, step.number, error.message, clock)
        except (KeyboardInterrupt, GeneratorExit):
            _stop_cleanly(operator, service, observed, step, clock)
            raise
    raise TargetError(f"{service} did not settle in {MAX_STEPS} steps", hint="deploy again")


def _is_live(observed: Observed, number: int) -> bool:
    release = observed.history.find(number)
    return release is not None and release.state is State.LIVE


def _act(operator: Operator, observed: Observed, step: Act, clock: Clock) -> Flow[None]:
    text = f"{type(step).__name__.lower()} release {step.number}"
    service = observed.history.service
    began = clock()
    yield StepBegun(text)
    release = observed.history.find(step.number)
    if isinstance(step, Remove):
        yield from operator.remove(service, step.number)
    elif release is None:
        raise TargetError(f"release {step.number} has no record")
    elif isinstance(step, Stage):
        yield from operator.stage(release)
    elif isinstance(step, Verify):
        yield from operator.verify(release)
        _update(operator, service, lambda h: records.promote(h, step.number, clock()))
    elif isinstance(step, Shift):
        yield from operator.shift(release)
        _update(operator, service, lambda h: records.set_draining(h, step.number, None))
    else:
        _update(operator, service, lambda h: records.set_draining(h, step.number, clock()))
        yield from operator.drain(release, step.deadline)
    yield StepEnded(text, clock() - began)


def _fail(operator: Operator, service: str, number: int, reason: str, clock: Clock) -> None:
    _update(operator, service, lambda h: records.fail(h, number, reason, clock()))


def _failure(service: str, blocked: Blocked, cause: LlmopsError | None) -> TargetError:
    serving = blocked.serving is not None
    what = f"release {blocked.serving} still serves" if serving else "nothing serves"
    message = cause.message if cause else blocked.reason
    hint = cause.hint if cause else f"llmops history {service}"
    return TargetError(f"{message}; {what}", hint=hint, serving=serving)


def _unfinished(operator: Operator, observed: Observed, error: LlmopsError) -> TargetError:
    """What to raise when traffic or a release could not be moved: whether anything serves."""
    seen = observed.seen
    with contextlib.suppress(LlmopsError):  # a target that cannot be asked goes on as it was
        seen = operator.observe(observed.history.service)
    serving = any(s.share and s.phase is Phase.READY for s in seen)
    hint = error.hint or "deploy again: it goes on from here"
    return TargetError(error.message, hint=hint, serving=serving)


def _retire_quietly(operator: Operator, service: str) -> Flow[None]:
    """Leave nothing of a service that never served."""
    # Why it failed is the news; what cannot be cleared away now, the next run clears.
    with contextlib.suppress(LlmopsError):
        yield from operator.retire(service, keep_logs=True)


def _stop_cleanly(
    operator: Operator, service: str, observed: Observed, step: Step, clock: Clock
) -> None:
    """After a first interrupt: take back a release that was on its way, unless it was verified."""
    if not isinstance(step, (Stage, Verify)) or _is_live(observed, step.number):
        return
    _fail(operator, service, step.number, "interrupted", clock)
    history = operator.store.read(service)[0]
    release = history.find(step.number)
    if release is None or release.state is not State.FAILED:
        return
    # Nobody listens to events any more, and the interrupt must not turn into another error: what
    # is left here is recorded as failed, so the next run removes it.
    with contextlib.suppress(LlmopsError):
        for _ in operator.remove(service, step.number):
            pass
        if history.live is None:
            for _ in operator.retire(service, keep_logs=True):
                pass


def _keys(operator: Operator, plan: Plan) -> Generator[Event, None, None]:
    """Make the declared keys that are missing."""
    have = {key.name for key in operator.keys(plan.service) if key.revoked_at is None}
    for name in plan.keys:
        if name not in have:
            _, text = operator.create_key(plan.service, name)
            yield KeyMade(plan.service, name, text)


__all__ = ["Confirm", "deploy", "destroy", "move", "plan", "rollback"]
