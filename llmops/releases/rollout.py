"""What to do next, so that what is desired becomes so: one pure function for every target.

It decides from what is recorded and seen now, never from what was done before, so a run that was
killed anywhere is simply continued. Three promises hold in every state: a release gets traffic only
when it is recorded as live, which only a verified one is; with `rolling` the last good release is
removed only when another holds all its traffic; and every path ends in Done or Blocked.
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
    return _settle(observed, desired, wanted, now) or Done()


def _bring_up(observed: Observed, desired: Desired, wanted: Release, now: float) -> Step:
    """Steps until the wanted release is verified."""
    last_good = observed.history.live
    if desired.strategy == "recreate":
        # The machine cannot hold both: everything else goes first.
        if step := _clear(observed, desired, now, keep=wanted.number):
            return step
    elif last_good is not None:
        # It serves while the new one is made, whatever happened to it meanwhile.
        keep = {wanted.number, last_good.number}
        if step := _serve(observed, last_good) or _clear_failed(observed, keep):
            return step
    if observed.of(wanted.number).phase is not Phase.READY:
        return Stage(wanted.number)
    return Verify(wanted.number)


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


def _fall_back(observed: Observed, desired: Desired, failed: Release, now: float) -> Step:
    """Steps after the wanted release has failed: it goes, and the last good one serves."""
    last_good = observed.history.live
    if last_good is None:
        return _clear(observed, desired, now, keep=None) or Blocked(failed.reason, None)
    seen = observed.of(failed.number)
    if seen.phase is not Phase.ABSENT and (not seen.share or desired.strategy == "recreate"):
        return Remove(failed.number)
    if step := _settle(observed, desired, last_good, now):
        return step
    return Blocked(failed.reason, last_good.number)


def _clear(observed: Observed, desired: Desired, now: float, *, keep: int | None) -> Step | None:
    """Drain and remove every release but one; None when nothing else is there."""
    for seen in observed.seen:
        if seen.number == keep or seen.phase is Phase.ABSENT:
            continue
        release = observed.history.find(seen.number)
        since = release.ended_at if release is not None else None
        deadline = (since if since is not None else now) + desired.drain_seconds
        if seen.in_flight and now < deadline:
            return Drain(seen.number, deadline)
        return Remove(seen.number)
    return None


def _clear_failed(observed: Observed, keep: set[int]) -> Step | None:
    """Remove what earlier runs left and nobody wants; what still drains may go on."""
    for seen in observed.seen:
        idle = not seen.share and not seen.in_flight
        if seen.number not in keep and idle and seen.phase is not Phase.ABSENT:
            return Remove(seen.number)
    return None


def _serving(observed: Observed) -> int | None:
    """The release that holds traffic now."""
    return next((seen.number for seen in observed.seen if seen.share), None)
