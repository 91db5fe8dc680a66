"""A watch that somebody ends by hand: the release on watch gets all traffic at once, or goes.

It is written into the record first, whoever holds the lock: who watches reads that at its next
look, and does it. Where nobody watches any more, it is done here. Of two who want different things
the first is heard, and the other is told who that was.
"""

from __future__ import annotations

import time

from llmops.errors import BusyError, InputError, RefusedError
from llmops.events import Finished, Flow, Progress
from llmops.reconciling import Clock, Sleep, desired_of, reconcile, tidy, update
from llmops.releases import History, Release, State, records
from llmops.targets import Observer, Operator
from llmops.watched import figures_now

WITHIN = 120.0
"""Seconds in which who watches has looked, and moved the traffic."""


def promote(
    operator: Operator,
    service: str,
    *,
    by: str = "",
    clock: Clock = time.time,
    sleep: Sleep = time.sleep,
) -> Flow[Finished]:
    """Give the release on watch all traffic now, whatever is known of it by then.

    Windows and policies are not asked: that it may be released was decided when it was deployed.

    Args:
        operator: The target.
        service: Which service.
        by: Who wants it: user and host.
        clock: Unix seconds.
        sleep: How to pass seconds.

    Raises:
        InputError: When no release of the service is watched.
        RefusedError: When somebody has taken it back meanwhile.
        BusyError: When who holds the lock does not do it.
    """
    history = operator.store.read(service)[0]
    live, changed = history.live, history.on_watch is not None
    if changed:
        release = end_watch(operator, history, by, promoted=True, clock=clock)
    elif live is not None and live.ended_by:  # said again
        release = live
    else:
        raise nothing_watched(service)
    yield from _carried_out(operator, release, "promoted", clock, sleep)
    finished = Finished(release, changed, operator.url(service))
    yield finished
    return finished


def take_back(
    operator: Operator, history: History, by: str, clock: Clock, sleep: Sleep
) -> Flow[Finished]:
    """Take back the release on watch, or go on with that where it was cut off: the last good one
    gets all traffic."""
    release = going(history)
    if release is None:
        raise nothing_watched(history.service)
    if release.state is State.STAGING:
        release = end_watch(operator, history, by, promoted=False, clock=clock)
    yield from _carried_out(operator, release, "rolled back", clock, sleep)
    live = operator.store.read(history.service)[0].live
    finished = Finished(live, True, operator.url(history.service))
    yield finished
    return finished


def going(history: History) -> Release | None:
    """The release that a rollback takes back: the one on watch, or one that was taken back by hand
    and is not gone."""
    if history.on_watch is not None:
        return history.on_watch
    newest = history.releases[-1] if history.releases else None
    if newest is None or newest.state is not State.FAILED or not newest.ended_by:
        return None
    return newest if newest.going_back else None


def end_watch(
    observer: Observer, history: History, by: str, *, promoted: bool, clock: Clock
) -> Release:
    """Write into the record that the watch has ended, with what was counted; the release as it is
    then. It needs no lock.

    Raises:
        InputError: When nothing is watched.
        RefusedError: When it has ended otherwise meanwhile.
    """
    watched = history.on_watch
    if watched is None:
        raise nothing_watched(history.service)
    number = watched.number
    counted = figures_now(observer, watched, by, clock())
    edited = update(
        observer,
        history.service,
        lambda h: records.end_watch(h, number, counted, by, promoted=promoted),
    )
    ended = edited.find(number)
    if ended is None or ended.state is not (State.LIVE if promoted else State.FAILED):
        raise _otherwise(ended, number)
    return ended


def nothing_watched(service: str) -> InputError:
    """That there is no watch to end."""
    return InputError(f"no release of {service} is being watched", hint=f"llmops history {service}")


def _otherwise(ended: Release | None, number: int) -> RefusedError:
    if ended is not None and ended.state is State.LIVE:
        how = f"was promoted by {ended.ended_by}" if ended.ended_by else "has all traffic"
    else:
        how = ended.reason if ended is not None and ended.reason else "is not there any more"
        how = f"has ended: {how}"
    return RefusedError(f"release {number} {how} meanwhile: nothing was changed")


def _carried_out(
    operator: Operator, release: Release, purpose: str, clock: Clock, sleep: Sleep
) -> Flow[None]:
    """What was recorded, done: by who watches, or here."""
    service, began = release.service, clock()
    while True:
        try:
            with operator.lock(service, purpose):
                live = operator.store.read(service)[0].live
                if live is not None:
                    desired = desired_of(live.plan, live.number)
                    yield from reconcile(operator, service, desired, clock, sleep)
                    tidy(operator, service)
                    update(operator, service, records.arrived)
                return
        except BusyError as error:
            if _moved(operator, release):
                return
            waited = clock() - began
            if waited > WITHIN:
                raise
            text = f"release {release.number} is recorded as {purpose}; {error.message}"
            yield Progress("watch", text, waited, WITHIN)
        sleep(1.0)


def _moved(operator: Operator, release: Release) -> bool:
    """Whether the traffic is as it should be."""
    share = {seen.number: seen.share for seen in operator.observe(release.service)}
    return share.get(release.number, 0) == (100 if release.state is State.LIVE else 0)


__all__ = ["end_watch", "going", "nothing_watched", "promote", "take_back"]
