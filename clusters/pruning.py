"""Which releases of a history are kept when the place for it is bounded.

The oldest ended ones go first. What still runs, what a rollback may go back to, and the newest
number (from which the next is counted) never go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from llmops.releases import History, State

MOST_RELEASES = 50
GOOD_KEPT = 5
"""Verified releases that are kept whatever the room: those that a rollback may name."""


def pruned(history: History, most_bytes: int, sizes: Mapping[int, int]) -> History:
    """The history without as many of its oldest ended releases as the bounds ask for.

    It may still be larger than `most_bytes`: what must be kept is kept. `sizes` are the bytes of
    each release, by its number.
    """
    kept = {release.number for release in history.releases}
    for number in sorted(kept - _needed(history)):
        if len(kept) <= MOST_RELEASES and sum(sizes[n] for n in kept) <= most_bytes:
            break
        kept.remove(number)
    return replace(history, releases=tuple(r for r in history.releases if r.number in kept))


def _needed(history: History) -> set[int]:
    """Numbers that are never dropped."""
    running = [r for r in history.releases if r.state in (State.STAGING, State.LIVE)]
    good = [r for r in history.releases if r.verified_at is not None]
    live = history.live
    # A rollback without a number goes to the newest good one that is not what serves now.
    other = [r for r in good if live is not None and r.plan.identity != live.plan.identity]
    kept = [*running, *good[-GOOD_KEPT:], *other[-1:], *history.releases[-1:]]
    return {release.number for release in kept}
