"""API keys in the store: hashes, put there by commands, and taken over by the agent's gateways.

A key is made where the command is, and its text never leaves that. What the store holds is the set
that any gateway reads, less llmops' own keys, which each machine makes for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from llmops.errors import LlmopsError, TargetError
from llmops.events import Flow, Progress
from llmops.releases import Conflict
from serving.agent import bell, names
from serving.agent.blobs import NEW, Blobs
from serving.agent.documents import Kind
from serving.agent.pace import PACE, Pace
from serving.agent.presence import Watch
from serving.agent.words import Seen
from serving.gateway import KeySet

SEEN = Kind(Seen, "what the agent has taken over")
TRIES = 20
TAKEN_OVER = 60.0
"""Seconds that the agent may take until its gateways use a new set."""

Edit = Callable[[KeySet], KeySet]


def read_keys(blobs: Blobs) -> tuple[KeySet, str]:
    """The keys of all services, and the version of their object.

    Raises:
        LlmopsError: When it is damaged: keys are never guessed.
    """
    found = blobs.get(names.KEYS)
    if found is None:
        return KeySet(), NEW
    try:
        return KeySet.parse(found.data.decode()), found.version
    except ValueError as error:
        raise LlmopsError(
            f"the keys in {blobs.where} are damaged",
            hint="a versioned bucket has the ones before; without them make new ones",
        ) from error


def edit_keys(blobs: Blobs, edit: Edit) -> KeySet:
    """Change the keys; the agent is told. Nothing is written where nothing changes."""
    for _ in range(TRIES):
        before, version = read_keys(blobs)
        after = edit(before)
        if after is before:
            return before
        try:
            blobs.put(names.KEYS, after.dump().encode(), version)
        except Conflict:
            continue
        bell.ring(blobs)
        return after
    raise TargetError("the keys are written by somebody else all the time", hint="try again")


def taken_over(
    blobs: Blobs,
    version: int,
    watch: Watch,
    *,
    elapsed: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    pace: Pace = PACE,
) -> Flow[None]:
    """Wait until the agent's gateways use this version of the set, or a later one.

    Raises:
        TargetError: When they do not: what was written is kept, and holds once they do.
    """
    began = elapsed()
    while True:
        seen, _ = SEEN.read(blobs, names.SEEN)
        if seen is not None and seen.keys and int(seen.keys) >= version:
            return
        presence, waited = watch.look(), elapsed() - began
        if not presence.alive:
            gone = watch.gone(presence)
            raise TargetError(
                f"the keys are written, but no gateway knows yet: {gone.message}", hint=gone.hint
            )
        if waited > TAKEN_OVER:
            raise TargetError("the keys are written, but the agent has not taken them over")
        yield Progress("keys", "the gateways take over the keys", waited, TAKEN_OVER)
        sleep(pace.look / 2)
