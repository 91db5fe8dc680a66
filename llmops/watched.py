"""A new release on some of the traffic: watched beside the last good one until it is judged.

The counting is the target's, the judgement `releases.judge`'s; here is the time in between. Cut
off at any instant, the next run goes on with what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from llmops.errors import TargetError
from llmops.events import Progress
from llmops.planning import Plan
from llmops.releases import Figures, Observed, Phase, Watch, judge
from llmops.targets import Observer, Operator

LOOKS = 5.0
"""Seconds between two looks; each asks every gateway."""


def watch(
    observer: Observer,
    observed: Observed,
    step: Watch,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Generator[Progress, None, None]:
    """Compare a release with the last good one until its time is over.

    Raises:
        TargetError: As soon as it is worse, or does not run any more; with what was seen.
    """
    service, number = observed.history.service, step.number
    release = observed.history.find(number)
    if release is None:
        raise TargetError(f"release {number} has no record")
    upkeep, began = release.plan.upkeep, step.until - release.plan.upkeep.canary_seconds
    while True:
        counted = observer.watched(service)
        new, old = counted.get(number, Figures()), counted.get(step.beside, Figures())
        verdict = judge(new, old, upkeep)
        if verdict.worse:
            raise TargetError(f"release {number} is worse than {step.beside}: {verdict.text}")
        _check_running(observer, service, number)
        now = clock()
        if now >= step.until:
            yield Progress("watch", _outcome(step, verdict.text, enough=verdict.enough))
            return
        reason = f"release {number} has {upkeep.canary_share} % of new requests: {verdict.text}"
        yield Progress("watch", reason, now - began, upkeep.canary_seconds)
        sleep(min(LOOKS, step.until - now))


def _check_running(observer: Observer, service: str, number: int) -> None:
    phases = {seen.number: seen.phase for seen in observer.observe(service)}
    if phases.get(number) is Phase.FAILED:
        raise TargetError(
            f"release {number} ended while it was watched",
            hint=f"llmops logs {service} --release {number}",
        )


def _outcome(step: Watch, text: str, *, enough: bool) -> str:
    if enough:
        return f"release {step.number} is no worse than {step.beside}: {text}"
    return (
        f"too few requests to compare release {step.number} with {step.beside} ({text}): the"
        " generation that proved it decides"
    )


def strategy(operator: Operator, plan: Plan) -> Generator[Progress, None, str]:
    """The plan's strategy; `rolling` instead of `canary` where the target cannot share traffic."""
    live = operator.store.read(plan.service)[0].live
    if plan.strategy != "canary" or live is None:
        return plan.strategy
    if reason := operator.apart(live.plan, plan):
        yield Progress("plan", f"rolling instead of canary: {reason}")
        return "rolling"
    return "canary"


__all__ = ["strategy", "watch"]
