"""How the record of a service may change: each edit is a pure function from History to History.

They keep what the flow counts on, whoever calls them and however often: a state only moves
downwards (staging, live, retired or failed), at most one release is live, and a number is given out
once. An edit that would break one of these changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops.planning import Plan, Upkeep
from llmops.releases.model import History, Release, State, Watched

SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Emergency:
    """Why and by whom something is done while the maintenance windows are closed."""

    reason: str
    by: str
    """User and host."""


def begin(
    history: History,
    plan: Plan,
    now: float,
    *,
    rollback_of: int | None = None,
    emergency: Emergency | None = None,
    going_back: bool = False,
) -> tuple[History, Release]:
    """Record a new release of `plan` on its way, or continue the one an earlier run left.

    What an earlier run left of any other plan is given up.
    """
    left = history.staging
    if left is not None and left.plan.identity == plan.identity and left.rollback_of == rollback_of:
        left = _marked(replace(left, plan=replace(left.plan, upkeep=plan.upkeep)), emergency)
        return give_up(history, now, keep=left.number).with_release(left), left
    history = give_up(history, now)
    if history.live is not None:  # an earlier run may have begun to drain it, and been killed
        history = set_draining(history, history.live.number, None)
    release = Release(
        service=plan.service,
        number=history.next_number,
        plan=plan,
        state=State.STAGING,
        created_at=now,
        rollback_of=rollback_of,
        going_back=going_back,
        hosted_by=_host(history, plan),
    )
    release = _marked(release, emergency)
    return history.with_release(release), release


def _host(history: History, plan: Plan) -> int | None:
    """The release whose engine runs and can hold this one's adapter beside its own."""
    live = history.live
    if live is None or not plan.engine_identity:
        return None
    return live.engine if live.plan.engine_identity == plan.engine_identity else None


def _marked(release: Release, emergency: Emergency | None) -> Release:
    if emergency is None:
        return release
    return replace(release, emergency=emergency.reason, emergency_by=emergency.by)


def give_up(history: History, now: float, *, keep: int | None = None) -> History:
    """Mark every release that is on its way as superseded, but `keep`."""
    for release in history.releases:
        if release.number != keep:
            history = fail(history, release.number, SUPERSEDED, now)
    return history


def fail(history: History, number: int, reason: str, now: float) -> History:
    """Mark a release that is on its way as failed; one that came to serve stays what it is."""
    release = history.find(number)
    if release is None or release.state is not State.STAGING:
        return history
    return history.with_release(replace(release, state=State.FAILED, ended_at=now, reason=reason))


def promote(history: History, number: int, now: float) -> History:
    """Mark a verified release as live, and the one before it as retired.

    Nothing changes when it is not on its way any more: another writer has given it up meanwhile.
    """
    verified = history.find(number)
    if verified is None or verified.state is not State.STAGING:
        return history
    for release in history.releases:
        if release.state is State.LIVE:
            history = history.with_release(replace(release, state=State.RETIRED, ended_at=now))
    return history.with_release(replace(verified, state=State.LIVE, verified_at=now, ended_at=None))


def watch(history: History, number: int, since: float | None) -> History:
    """Record since when a verified release gets some of the traffic, or (None) that it has to be
    verified anew; one that is not on its way any more stays what it is."""
    release = history.find(number)
    if release is None or release.state is not State.STAGING:
        return history
    return history.with_release(replace(release, watched_since=since, watched=()))


def watched(history: History, number: int, watched: Watched) -> History:
    """Record what came of a share that a release was watched with, unless somebody has ended the
    watch, who records it."""
    release = history.on_watch
    if release is None or release.number != number:
        return history
    return history.with_release(replace(release, watched=(*release.watched, watched)))


def end_watch(
    history: History, number: int, watched: Watched, by: str, *, promoted: bool
) -> History:
    """End the watch of a release by hand: it is live, or has failed. Nothing changes where it is
    not watched any more."""
    release = history.on_watch
    if release is None or release.number != number:
        return history
    ended = replace(release, watched=(*release.watched, watched), ended_by=by)
    if promoted:
        return promote(history.with_release(ended), number, watched.until)
    ended = replace(ended, going_back=True)
    return fail(history.with_release(ended), number, f"taken back by {by}", watched.until)


def begin_with(history: History, number: int, replicas: int) -> History:
    """Record with how many replicas a release that is on its way begins, as far as its own bounds
    allow that; what is not above its lowest number is recorded as 0."""
    release = history.find(number)
    if release is None or release.state is not State.STAGING:
        return history
    layout = release.plan.layout
    begins = min(replicas, layout.replicas_high)
    begins = begins if begins > layout.replicas_low else 0
    return history.with_release(replace(release, begins=begins))


def look_after(history: History, upkeep: Upkeep, asked: Mapping[str, Any] | None = None) -> History:
    """Have the live release be looked after as a newer file of the same release says, which is then
    what was asked for."""
    live = history.live
    if live is None:
        return history
    plan = replace(live.plan, upkeep=upkeep, asked=dict(asked or live.plan.asked))
    return history if plan == live.plan else history.with_release(replace(live, plan=plan))


def retain(history: History, keep: int) -> History:
    """Without the ended releases that are older than the `keep` newest ones, but for the one that
    a rollback would repeat and those whose engine answers for another. A number is not given out
    twice: the newest release always stays."""
    ended = [r for r in history.releases if r.state in (State.RETIRED, State.FAILED)]
    stay = {release.number for release in ended[-max(1, keep) :]}
    if (earlier := history.last_good_before) is not None:
        stay.add(earlier.number)
    stay |= {r.engine for r in history.releases if r.state in (State.LIVE, State.STAGING)}
    old = {release.number for release in ended} - stay
    return replace(history, releases=tuple(r for r in history.releases if r.number not in old))


def logged(history: History, keep: int | None) -> frozenset[int]:
    """The releases whose logs stay: those that have not ended, and the `keep` newest that have
    (None: all that are recorded)."""
    ended = [r.number for r in history.releases if r.state in (State.RETIRED, State.FAILED)]
    old = ended if keep == 0 else [] if keep is None else ended[:-keep]
    hosts = {r.engine for r in history.releases if r.number not in ended}
    return frozenset(r.number for r in history.releases) - (frozenset(old) - hosts)


def arrived(history: History) -> History:
    """Record that the rollback or deploy that made the live release has come to its end."""
    live = history.live
    if live is not None:
        history = history.with_release(replace(live, going_back=False))
    return gone(history)


def gone(history: History) -> History:
    """Record that nothing is left of releases that were taken back by hand."""
    for release in history.releases:
        if release.going_back and release.state is State.FAILED:
            history = history.with_release(replace(release, going_back=False))
    return history


def set_draining(history: History, number: int, since: float | None) -> History:
    """Record since when a live release drains, or (None) that it serves again.

    What drains with `recreate` is still the last good release; without this its time would begin
    anew with every look at it.
    """
    release = history.find(number)
    if release is None or release.state is not State.LIVE:
        return history
    if since is not None and release.ended_at is not None:
        return history
    return history.with_release(replace(release, ended_at=since))


def end(history: History, now: float, emergency: Emergency | None = None) -> History:
    """End every release, because the service is destroyed."""
    for release in history.releases:
        if release.state is State.LIVE:
            since = release.ended_at if release.ended_at is not None else now
            ended = replace(release, state=State.RETIRED, ended_at=since)
            history = history.with_release(_marked(ended, emergency))
        history = fail(history, release.number, "destroyed", now)
    return history
