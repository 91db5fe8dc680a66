"""What happens with an order, written down in pieces: often enough to follow, and no more."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

from llmops.events import (
    Event,
    Finished,
    KeyMade,
    Planned,
    Previewed,
    Progress,
    ResourceProgress,
    Reviewed,
)
from serving.agent.blobs import StoreUnreachable
from serving.agent.orders import Orders, Ref
from serving.agent.pace import Pace
from serving.agent.wire import event_document


class Pen:
    """Writes the events of one order, behind those that are there."""

    def __init__(self, orders: Orders, ref: Ref, elapsed: Callable[[], float], pace: Pace) -> None:
        self._orders, self._ref = orders, ref
        self._elapsed, self._pace = elapsed, pace
        self._piece = orders.pieces(ref)
        self._held: list[dict[str, Any]] = []
        self._written_at = self._said_at = elapsed() - pace.again
        self._said = ""

    def write(self, event: Event) -> str:
        """Keep an event; what it says, for people, or nothing where it says nothing new."""
        text = _words(event)
        if not text or (isinstance(event, Progress) and self._is_old(event)):
            return ""
        if (document := event_document(event)) is not None:
            self._held.append(document)
        if self._elapsed() - self._written_at >= self._pace.piece:
            self.flush()
        return text

    def _is_old(self, event: Progress) -> bool:
        """Whether a moment of a wait says what the one before it said, a moment ago."""
        same, now = re.sub(r"\d+", "", f"{event.phase} {event.reason}"), self._elapsed()
        old = same == self._said and now - self._said_at < self._pace.again
        if not old:
            self._said, self._said_at = same, now
        return old

    def flush(self) -> None:
        """Write what is held. A store that cannot be asked gets it the next time."""
        self._written_at = self._elapsed()
        if not self._held:
            return
        with contextlib.suppress(StoreUnreachable):
            self._orders.tell(self._ref, self._piece + 1, self._held)
            self._piece, self._held = self._piece + 1, []


def _words(event: Event) -> str:
    """An event in few words; nothing for one that says nothing of the work."""
    if isinstance(event, Progress):
        return f"{event.phase}: {event.reason}"
    if isinstance(event, (Planned, Reviewed, Previewed, KeyMade, Finished)):
        return ""
    if isinstance(event, ResourceProgress):
        return f"{event.operation} {event.name}: {event.state}"
    return event.text
