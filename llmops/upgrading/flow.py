"""An upgrade, done: through the normal release path, and safe to be killed at any instant.

What was killed is finished by the next run: a runtime that was ended but not started again has live
releases that do not serve, and these are brought back by the reconciler like after any loss.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

from llmops import workflow
from llmops.errors import LlmopsError, RefusedError
from llmops.events import Finished, Flow, Progress
from llmops.opening import Gate, admit, closed_to_end, until_open
from llmops.policies import Closed
from llmops.releases import Release
from llmops.spec import Deployment
from llmops.targets import Operator
from llmops.upgrading.model import ServiceChange, Upgrade

Clock = Callable[[], float]
ANY_TIME = Gate()

Halt = Callable[[], Flow[None]]
"""Ends the runtime with all its processes; the releases that belong on it stay written down."""

Change = Callable[[Deployment], Deployment]


def upgrade(
    operator: Operator,
    wanted: Upgrade,
    *,
    halt: Halt | None = None,
    change: Change = lambda deployment: deployment,
    deploy: Callable[..., Flow[Finished]] = workflow.deploy,
    clock: Clock = time.time,
    gate: Gate = ANY_TIME,
) -> Flow[tuple[Finished, ...]]:
    """Do what an upgrade says.

    Args:
        operator: The target.
        wanted: What to do.
        halt: Ends the runtime; None where a target has none that could be ended.
        change: What else a new release is to have, such as another image.
        deploy: The normal release path.
        clock: Unix seconds.
        gate: What to do where a service may not be changed now.

    Raises:
        RefusedError: Before anything is changed, when something stands in the way, or a service of
            the runtime may not be changed now.
        TargetError: When a service did not come back, or its new release did not come up; the
            others are brought back all the same.
    """
    if wanted.problems:
        raise RefusedError(
            f"this upgrade would not work: {'; '.join(wanted.problems)}",
            hint="mend the spec and deploy it, or install what ran before",
        )
    yield from _opened(operator, wanted, clock, gate)
    yield from _runtime(operator, wanted, halt, clock)
    done: tuple[Finished, ...] = ()
    for one in wanted.services:
        asked = yield from _asked(operator, one)
        if asked is not None:
            flow = deploy(operator, change(asked), unattended=True, clock=clock, gate=gate)
            done = (*done, (yield from flow))
    return done


def _asked(operator: Operator, one: ServiceChange) -> Flow[Deployment | None]:
    """What a service that gets a new release was asked to be; None for another."""
    live = operator.store.read(one.service)[0].live
    if one.engine is None or live is None:
        return None
    if not one.asked:
        yield Progress("upgrade", f"{one.service}: deploy its spec, its record is too old")
        return None
    return Deployment.model_validate(live.plan.asked)


def _opened(operator: Operator, wanted: Upgrade, clock: Clock, gate: Gate) -> Flow[None]:
    """Pass when every service that a restart takes away may be changed now."""
    if not wanted.restart:
        return
    for service in (one.service for one in wanted.services if one.serves):
        look = partial(_closed, operator, service)
        admit(look(clock()), gate)
        if gate.wait and gate.emergency is None:
            yield from until_open(look, clock, time.sleep)


def _closed(operator: Operator, service: str, now: float) -> Closed | None:
    return closed_to_end(operator, operator.store.read(service)[0], now)


def _runtime(operator: Operator, wanted: Upgrade, halt: Halt | None, clock: Clock) -> Flow[None]:
    """Restart the runtime if it must be, and bring back whatever does not serve."""
    away = [s.service for s in wanted.services if wanted.restart or not s.serves]
    with contextlib.ExitStack() as locks:
        for service in away:
            locks.enter_context(operator.lock(service, "upgraded"))
        found = [operator.store.read(service)[0].live for service in away]
        live = [release for release in found if release is not None]
        if wanted.restart and halt is not None:
            for release in live:
                yield Progress("upgrade", f"draining {release.service}")
                yield from operator.drain(release, clock() + release.plan.drain_seconds)
            yield from halt()
        yield from _bring_back(operator, live, clock)


def _bring_back(operator: Operator, live: list[Release], clock: Clock) -> Flow[None]:
    """Each of them, though one may fail: the others are not to blame for it."""
    failed: list[LlmopsError] = []
    for release in live:
        try:
            yield from workflow.settle(operator, release, clock=clock)
        except LlmopsError as error:
            yield Progress("upgrade", f"{release.service} does not come back: {error.message}")
            failed.append(error)
    if failed:
        raise failed[0]
