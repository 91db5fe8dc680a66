"""What became of a request: one word for it, from what its client saw."""

from __future__ import annotations

from enum import StrEnum

from tests.chaos.history.events import Ended, Head, How


class Outcome(StrEnum):
    """The four that a client may meet, and the two that it never may."""

    WHOLE = "whole"
    REFUSED = "refused"
    """An error in place of an answer."""
    CUT = "cut"
    """An answer that began, and ends with an error event."""
    CANCELLED = "cancelled"
    LOST = "lost"
    """No answer, and no word about it."""
    TRUNCATED = "truncated"
    """An answer that began and stops, passed off as a whole one."""


def outcome_of(head: Head | None, ended: Ended) -> Outcome:
    """What became of a request."""
    if ended.how is How.CANCELLED:
        return Outcome.CANCELLED
    if ended.how is How.BROKEN or head is None:
        return Outcome.TRUNCATED if ended.text else Outcome.LOST
    if head.status != 200:
        return Outcome.REFUSED
    if ended.error:
        return Outcome.CUT
    return Outcome.WHOLE if ended.done and ended.finish else Outcome.TRUNCATED
