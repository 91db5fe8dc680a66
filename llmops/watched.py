"""A new release on some of the traffic: watched beside the last good one until it is judged.

The counting is the target's, the judgement `releases.judge`'s; here is the time in between. Cut
off at any instant, the next run goes on with what is left of it. Somebody may end it by hand, who
needs no lock for that: it is written into the record, which is read at every look.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from llmops.errors import TargetError
from llmops.events import Progress
from llmops.planning import Plan
from llmops.releases import (
    Figures,
    Observed,
    Phase,
    Release,
    State,
    Verdict,
    Watch,
    Watched,
    judge,
    summary,
)
from llmops.targets import Observer, Operator

LOOKS = 5.0
"""Seconds between two looks; each asks every gateway."""


def watch(
    observer: Observer,
    observed: Observed,
    step: Watch,
    note: Callable[[Watched], object],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Generator[Progress, None, None]:
    """Compare a release with the last good one until the time of its share is over, or somebody
    ends the watch.

    Args:
        observer: The target.
        observed: What was recorded and seen when the step began.
        step: Which releases, with which share, from when to when.
        note: Is told what came of it, unless somebody has ended the watch.
        clock: Unix seconds.
        sleep: How to pass seconds.

    Raises:
        TargetError: As soon as it is worse, or does not run any more, with what was seen; or when
            somebody has taken it back.
    """
    service, number = observed.history.service, step.number
    release = observed.history.find(number)
    if release is None:
        raise TargetError(f"release {number} has no record")
    while True:
        if text := _ended(observer, service, number):
            yield Progress("watch", text)
            return
        counted = observer.watched(service)
        new, old = counted.get(number, Figures()), counted.get(step.beside, Figures())
        verdict = judge(new, old, release.plan.upkeep)
        if verdict.worse:
            note(_watched(step, new, old, clock(), f"worse: {verdict.text}"))
            raise TargetError(f"release {number} is worse than {step.beside}: {verdict.text}")
        _check_running(observer, service, number)
        now = clock()
        if now >= step.until:
            note(
                _watched(step, new, old, now, "no worse" if verdict.enough else "too few requests")
            )
            yield Progress("watch", _outcome(step, verdict))
            return
        reason = f"release {number} has {step.share} % of new requests: {verdict.text}"
        yield Progress("watch", reason, now - step.since, step.until - step.since)
        sleep(min(LOOKS, step.until - now))


def _ended(observer: Observer, service: str, number: int) -> str:
    """That somebody has promoted the release meanwhile; empty while it is watched.

    Raises:
        TargetError: When somebody has taken it back.
    """
    release = observer.store.read(service)[0].find(number)
    if release is None or release.state is State.STAGING:
        return ""
    if release.state is State.FAILED:
        raise TargetError(f"release {number} was {release.reason}")
    return f"release {number} was promoted by {release.ended_by}"


def figures_now(observer: Observer, release: Release, by: str, now: float) -> Watched:
    """What is counted of a release that is watched, for who ends its watch by hand."""
    live = observer.store.read(release.service)[0].live
    counted = observer.watched(release.service)
    seen = {one.number: one.share for one in observer.observe(release.service)}
    new = counted.get(release.number, Figures())
    old = counted.get(live.number, Figures()) if live else Figures()
    began = release.watched[-1].until if release.watched else release.watched_since or now
    step = Watch(release.number, 0, seen.get(release.number, 0), min(began, now), now)
    return _watched(step, new, old, now, f"ended by {by}")


def _watched(step: Watch, new: Figures, old: Figures, now: float, outcome: str) -> Watched:
    return Watched(step.share, step.since, now, summary(new), summary(old), outcome)


def _check_running(observer: Observer, service: str, number: int) -> None:
    phases = {seen.number: seen.phase for seen in observer.observe(service)}
    if phases.get(number) is Phase.FAILED:
        raise TargetError(
            f"release {number} ended while it was watched",
            hint=f"llmops logs {service} --release {number}",
        )


def _outcome(step: Watch, verdict: Verdict) -> str:
    if verdict.enough:
        return f"release {step.number} is no worse than {step.beside}: {verdict.text}"
    decides = "the generation that proved it decides" if step.last else "the next step follows"
    return (
        f"too few requests to compare release {step.number} with {step.beside} ({verdict.text}):"
        f" {decides}"
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


__all__ = ["figures_now", "strategy", "watch"]
