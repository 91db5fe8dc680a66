"""What to do next, so that what is desired becomes so: one pure function for every target.

It decides from what is recorded and seen now, never from what was done before, so a run that was
killed anywhere is simply continued. Three promises hold in every state: a release gets traffic only
when it is recorded as live or as watched, which only a verified one is; with `rolling` and `canary`
the last good release is removed only when another holds all its traffic; and every path ends in
Done or Blocked.
"""

from __future__ import annotations

from llmops.releases.model import (
    Blocked,
    Desired,
    Done,
    Drain,
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
)


def next_step(observed: Observed, desired: Desired, now: float) -> Step:
    """The step to take now.

    Args:
        observed: The recorded history, and what the runtime shows.
        desired: The release that should serve, or none.
        now: Unix seconds, for the deadline of a drain.
    """
    if desired.number is None:
        return _clear(observed, desired, now, keep=None) or Done()
    wanted = observed.history.find(desired.number)
    if wanted is None:
        return Blocked(f"there is no release {desired.number}", _serving(observed))
    if wanted.state in (State.FAILED, State.RETIRED):
        return _fall_back(observed, desired, wanted, now)
    if wanted.state is State.STAGING:
        return _bring_up(observed, desired, wanted, now)
    if wanted.number in desired.given_up:
        return Blocked(f"release {wanted.number} could not be brought back", _serving(observed))
    return _settle(observed, desired, wanted, now) or Done()


def _bring_up(observed: Observed, desired: Desired, wanted: Release, now: float) -> Step:
    """Steps until the wanted release is verified, and has been watched where that is wanted."""
    beside = _beside(observed, desired)
    if wanted.watched_since is not None and beside is not None:
        return _watch(observed, desired, wanted, beside, now)
    if desired.strategy == "recreate":
        # The machine cannot hold both: everything else goes first.
        if step := _clear(observed, desired, now, keep=wanted.number):
            return step
    elif step := _hold(observed, desired, wanted, now):
        return step
    if observed.of(wanted.number).phase is not Phase.READY:
        return Stage(wanted.number)
    return Verify(wanted.number, watched=beside is not None)


def _beside(observed: Observed, desired: Desired) -> Release | None:
    """The last good release that the wanted one is watched beside, where it is to be watched."""
    live = observed.history.live
    if desired.strategy != "canary" or live is None or live.number in desired.given_up:
        return None
    return live


def _watch(
    observed: Observed, desired: Desired, wanted: Release, beside: Release, now: float
) -> Step:
    """Steps while the wanted release, which was verified, has some of the traffic."""
    if observed.of(beside.number).phase is not Phase.READY:
        return Stage(beside.number)
    seen = observed.of(wanted.number)
    if seen.phase is not Phase.READY:
        # Whatever ended it, nobody is sent there; it is started, verified and watched anew.
        return Shift(beside.number) if seen.share else Stage(wanted.number)
    rest, done = observed.of(beside.number).share, len(wanted.watched)
    # A file that names fewer shares than it has been watched with leaves the last one.
    share = desired.shares[min(done, len(desired.shares) - 1)]
    if (seen.share, rest) != (share, 100 - share):
        return Shift(wanted.number, share, beside.number)
    keep = {wanted.number, beside.number}
    if step := _clear_idle(observed, desired, now, keep):
        return step
    began = wanted.watched[-1].until if done else wanted.watched_since or now
    since = min(began, now)
    until, last = since + desired.watch_seconds, done + 1 >= len(desired.shares)
    return Watch(wanted.number, beside.number, share, since, until, last)


def _hold(observed: Observed, desired: Desired, wanted: Release, now: float) -> Step | None:
    """Steps until the last good release serves beside the wanted one, and nothing else is idle."""
    last_good = observed.history.live
    keep = {wanted.number}
    if last_good is not None:
        keep.add(last_good.number)
        # One that will not start again must not stand in the way of the one that may.
        if last_good.number not in desired.given_up and (step := _serve(observed, last_good)):
            return step
    return _clear_idle(observed, desired, now, keep)


def _settle(observed: Observed, desired: Desired, live: Release, now: float) -> Step | None:
    """Steps until the live release serves alone; None when it does."""
    return _serve(observed, live) or _clear(observed, desired, now, keep=live.number)


def _serve(observed: Observed, live: Release) -> Step | None:
    """Steps until a release that was verified holds the traffic; None when it does."""
    seen = observed.of(live.number)
    if seen.phase is not Phase.READY:
        return Stage(live.number)
    if seen.share != 100:
        return Shift(live.number)
    return None


def _fall_back(observed: Observed, desired: Desired, lost: Release, now: float) -> Step:
    """Steps after the wanted release has failed: it goes, and the last good one serves."""
    last_good = observed.history.live
    reason = lost.reason
    if lost.state is State.RETIRED:
        later = f"by release {last_good.number}" if last_good else "by nothing: it was ended"
        reason = f"release {lost.number} was replaced {later}"
    if last_good is None:
        return _clear(observed, desired, now, keep=None) or Blocked(reason, None)
    seen = observed.of(lost.number)
    here = lost.state is State.FAILED and seen.phase is not Phase.ABSENT
    drains = seen.in_flight and now < _drain_until(observed, desired, lost.number, now)
    if here and not seen.share and not drains:
        # First, because a machine that holds only one has no room to restart the last good one.
        return Remove(lost.number)
    if last_good.number in desired.given_up:
        if here:
            return Remove(lost.number)
        return Blocked(reason, _serving(observed))
    return _settle(observed, desired, last_good, now) or Blocked(reason, last_good.number)


def _clear(observed: Observed, desired: Desired, now: float, *, keep: int | None) -> Step | None:
    """Drain and remove every release but one; None when nothing else is there."""
    for seen in observed.seen:
        if seen.number == keep or seen.phase is Phase.ABSENT:
            continue
        deadline = _drain_until(observed, desired, seen.number, now)
        if seen.in_flight and now < deadline:
            return Drain(seen.number, deadline)
        return Remove(seen.number)
    return None


def _clear_idle(observed: Observed, desired: Desired, now: float, keep: set[int]) -> Step | None:
    """Remove what earlier runs left and nobody wants; what still drains may go on."""
    for seen in observed.seen:
        if seen.number in keep or seen.share or seen.phase is Phase.ABSENT:
            continue
        if not seen.in_flight or now >= _drain_until(observed, desired, seen.number, now):
            return Remove(seen.number)
    return None


def _drain_until(observed: Observed, desired: Desired, number: int, now: float) -> float:
    """When a release must have drained, in Unix seconds.

    One that never served has nobody to wait for. A clock that was set back does not lengthen it.
    """
    release = observed.history.find(number)
    if release is None:
        return now
    if release.state in (State.STAGING, State.FAILED) and release.watched_since is None:
        return now
    since = now if release.ended_at is None else min(release.ended_at, now)
    return since + desired.drain_seconds


def _serving(observed: Observed) -> int | None:
    """The release that answers now: it holds traffic, and is up."""
    ready = (s.number for s in observed.seen if s.share and s.phase is Phase.READY)
    return next(ready, None)
