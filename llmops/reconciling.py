"""From what is recorded and seen to what is desired, step by step: the loop that every verb runs.

`next_step` decides, the target acts, and what was done is recorded by compare-and-swap. A step that
fails is blamed on the release that it was for; one that is interrupted is taken back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from llmops.errors import BusyError, LlmopsError, TargetError, UnreachableError
from llmops.events import Flow, Progress, StepBegun, StepEnded
from llmops.planning import Plan
from llmops.releases import (
    Blocked,
    Conflict,
    Desired,
    Done,
    Drain,
    Emergency,
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
    Watch,
    Watched,
    next_step,
    records,
)
from llmops.targets import Observer, Operator
from llmops.watched import watch

Clock = Callable[[], float]
Sleep = Callable[[float], None]
Act = Stage | Verify | Shift | Watch | Drain | Remove

LAST_ANSWERS = 30.0
"""Seconds that a release that is taken back has for its last answers, after an interrupt."""

MAX_STEPS = 200
"""Steps of one run; a few are usual, and a loop that never ends must not be."""

WRITES = 20
"""Tries of a compare-and-swap; only another writer of the same record makes one fail."""


def desired_of(plan: Plan, number: int) -> Desired:
    """What should be, where a release of `plan` should serve."""
    upkeep = plan.upkeep
    return Desired(
        number,
        plan.strategy,
        plan.drain_seconds,
        shares=upkeep.canary_steps,
        watch_seconds=upkeep.canary_seconds,
    )


def tidy(operator: Operator, service: str) -> None:
    """Forget what the service does not keep of releases that have ended."""
    history = operator.store.read(service)[0]
    if history.live is None:
        return
    upkeep = history.live.plan.upkeep
    if (keep := upkeep.keep_releases) is not None:
        history = update(operator, service, lambda h: records.retain(h, keep))
    if (upkeep.keep_releases, upkeep.keep_logs) != (None, None):
        operator.forget_logs(service, records.logged(history, upkeep.keep_logs))


def update(observer: Observer, service: str, edit: Callable[[History], History]) -> History:
    """Write an edited history by compare-and-swap, reading again when another was quicker."""
    for _ in range(WRITES):
        history, version = observer.store.read(service)
        edited = edit(history)
        if edited == history:
            return history
        try:
            observer.store.write(edited, version)
        except Conflict:
            continue
        return edited
    raise TargetError(f"the record of {service} is written by somebody else all the time")


def record(
    operator: Operator,
    plan: Plan,
    changed: bool,
    clock: Clock,
    rollback_of: int | None = None,
    emergency: Emergency | None = None,
    going_back: bool = False,
) -> Release:
    """Record what is meant before anything is done; the release that should serve.

    Without a change the live one is returned, and none is recorded.
    """
    chosen: list[Release] = []

    def edit(history: History) -> History:
        if not changed and history.live is not None:
            chosen[:] = [history.live]
            return records.look_after(records.give_up(history, clock()), plan.upkeep, plan.asked)
        history, release = records.begin(
            history, plan, clock(),
            rollback_of=rollback_of, emergency=emergency, going_back=going_back,
        )  # fmt: skip
        chosen[:] = [release]
        return history

    update(operator, plan.service, edit)
    return chosen[0]


def reconcile(
    operator: Operator, service: str, desired: Desired, clock: Clock, sleep: Sleep = time.sleep
) -> Flow[None]:
    """Observe, decide, act, until what is desired is so.

    Raises:
        TargetError: When it cannot become so, after what it left was removed.
    """
    cause: LlmopsError | None = None
    for _ in range(MAX_STEPS):
        observed = Observed(operator.store.read(service)[0], operator.observe(service))
        observed = _like_before(operator, observed, desired)
        step = next_step(observed, desired, clock())
        if isinstance(step, Done):
            return
        if isinstance(step, Blocked):
            if observed.history.live is None:
                yield from _retire_quietly(operator, service)
            elif step.serving is not None:
                update(operator, service, records.gone)
            raise _failure(service, step, cause) from cause
        try:
            yield from _act(operator, observed, step, clock, sleep)
        except BusyError:
            raise  # another holds the lock, and goes on with this release: it has not failed
        except UnreachableError as error:
            serving = observed.history.live is not None
            hint = error.hint or "deploy again: it goes on from here"
            raise UnreachableError(error.message, hint=hint, serving=serving) from error
        except LlmopsError as error:
            if not isinstance(step, (Stage, Verify, Watch)):
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


def _like_before(operator: Operator, observed: Observed, desired: Desired) -> Observed:
    """Have a release that is not there yet begin with as many replicas as answer now.

    Once it is there it stays as it began: what changes afterwards, the runtime sees itself. And it
    is recorded before anything is removed, since with `recreate` nobody could tell it later.
    """
    history = observed.history
    wanted = history.find(desired.number) if desired.number is not None else None
    if wanted is None or observed.of(wanted.number).phase is not Phase.ABSENT:
        return observed
    runs = max((s.replicas for s in observed.seen if s.share), default=0)
    if not runs or records.begin_with(history, wanted.number, runs) == history:
        return observed
    edited = update(operator, history.service, lambda h: records.begin_with(h, wanted.number, runs))
    return replace(observed, history=edited)


def _is_live(observed: Observed, number: int) -> bool:
    release = observed.history.find(number)
    return release is not None and release.state is State.LIVE


def _act(
    operator: Operator, observed: Observed, step: Act, clock: Clock, sleep: Sleep
) -> Flow[None]:
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
        if release.watched_since is not None:  # what is started anew has proved nothing
            update(operator, service, lambda h: records.watch(h, step.number, None))
        yield from operator.stage(release)
    elif isinstance(step, Verify):
        yield from operator.verify(release)
        prove = records.watch if step.watched else records.promote
        update(operator, service, lambda h: prove(h, step.number, clock()))
    elif isinstance(step, Watch):
        note = partial(_note, operator, service, step.number)
        yield from watch(operator, observed, step, note, clock, sleep)
        if step.last:
            update(operator, service, lambda h: records.promote(h, step.number, clock()))
    elif isinstance(step, Shift):
        beside = None if step.beside is None else observed.history.find(step.beside)
        yield from operator.shift(release, step.share, beside)
        update(operator, service, lambda h: records.set_draining(h, step.number, None))
    else:
        update(operator, service, lambda h: records.set_draining(h, step.number, clock()))
        yield from operator.drain(release, step.deadline)
    yield StepEnded(text, clock() - began)


def _note(operator: Operator, service: str, number: int, watched: Watched) -> None:
    update(operator, service, lambda h: records.watched(h, number, watched))


def _fail(operator: Operator, service: str, number: int, reason: str, clock: Clock) -> None:
    update(operator, service, lambda h: records.fail(h, number, reason, clock()))


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
    """After a first interrupt: take back a release that was on its way, unless it has all traffic
    or is about to."""
    if not isinstance(step, (Stage, Verify, Shift, Watch)) or _is_live(observed, step.number):
        return
    _fail(operator, service, step.number, "interrupted", clock)
    history = operator.store.read(service)[0]
    release = history.find(step.number)
    if release is None or release.state is not State.FAILED:
        return
    # Nobody listens to events any more, and the interrupt must not turn into another error: what
    # is left here is recorded as failed, so the next run removes it.
    with contextlib.suppress(LlmopsError):
        if history.live is not None and release.watched_since is not None:
            for _ in operator.shift(history.live):
                pass
            seconds = min(LAST_ANSWERS, release.plan.drain_seconds)
            for _ in operator.drain(release, clock() + seconds):
                pass
        for _ in operator.remove(service, step.number):
            pass
        if history.live is None:
            for _ in operator.retire(service, keep_logs=True):
                pass


__all__ = ["Clock", "Sleep", "desired_of", "reconcile", "record", "tidy", "update"]
