"""A stack taken away, and proof that nothing of it is left: counted by its tags.

What holds data stays unless the user says otherwise, and is named. Anything else that the account
still lists after a while is named too, with the way to find it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.account import Account, Remover, Thing
from infra.automation import StackEngine, take_down
from infra.progress import told
from infra.tags import STACK_TAG
from llmops.errors import LlmopsError
from llmops.events import Flow, Progress, StepEnded, Warned

PATIENCE = 120.0
"""Seconds until the account no longer lists what has gone: its index of tags lags behind."""
PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Which stack, and where its data are."""

    stack: str
    region: str
    store: str
    """`s3://bucket/prefix`; empty where it never came so far."""

    @property
    def bucket(self) -> str:
        return self.store.removeprefix("s3://").partition("/")[0]


def leave(
    engine: StackEngine, account: Account, remover: Remover, place: Place, *, purge: bool
) -> Flow[None]:
    """Take a stack away and count what is left.

    Args:
        engine: Of the stack.
        account: Counts.
        remover: Empties the bucket.
        place: Which stack.
        purge: Whether what holds data goes as well.
    """
    if purge and place.bucket in engine.state().ids:
        for gone in remover.empty(place.bucket):
            yield Progress("destroy", f"{gone} object versions of {place.bucket} are deleted")
    yield from told(take_down(engine, keep_data=not purge), "destroy")
    kept = engine.state().ids
    if kept:
        yield Warned(
            f"kept, because it holds data: {', '.join(sorted(kept))}"
            "; llmops destroy with --purge deletes that too"
        )
    yield from _count(account, place, kept)


def _count(account: Account, place: Place, kept: frozenset[str]) -> Flow[None]:
    began = time.monotonic()
    try:
        left = yield from _left(account, place, kept, time.monotonic, time.sleep)
    except LlmopsError as error:
        yield Warned(f"what is left could not be counted: {error.message}")
        return
    if not left:
        said = f"counting by tag what is left of {place.stack} in {place.region}: none"
        yield StepEnded(said, time.monotonic() - began)
        return
    for thing in left:
        yield Warned(f"still listed: {thing.kind} {thing.id}; llmops cluster sweep looks again")


def _left(
    account: Account,
    place: Place,
    kept: frozenset[str],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Flow[tuple[Thing, ...]]:
    began = clock()
    while True:
        found = account.all_tagged({STACK_TAG: place.stack})
        left = tuple(thing for thing in found if not {thing.id, thing.arn} & kept)
        waited = clock() - began
        if not left or waited > PATIENCE:
            return left
        yield Progress("destroy", f"{len(left)} thing(s) are still listed", waited, PATIENCE)
        sleep(PAUSE)


__all__ = ["Place", "leave"]
