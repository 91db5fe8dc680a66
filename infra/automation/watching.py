"""A blocking operation of the engine, followed event by event from another thread.

No wait is silent: while the engine says nothing, what it works on and for how long is told. Whoever
stops following asks the engine to end in order, and waits for it: an engine that is left alone
would go on changing the cloud with nobody looking.
"""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from infra.automation.model import StackFlow, Unread, Waiting
from infra.automation.reading import Reader

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent

T = TypeVar("T")

BEAT = 2.0
"""Seconds without an event after which the wait itself is told."""

UNREADABLE = "Failed to parse engine event"
"""How the SDK warns of an event that it cannot parse, such as a step of a newer engine."""


@dataclass(slots=True)
class _Ended:
    result: object = None
    error: BaseException | None = None


def watched(
    operation: Callable[[Callable[[EngineEvent], None]], T],
    reader: Reader,
    stop: Callable[[], None],
    *,
    beat: float = BEAT,
) -> StackFlow[T]:
    """Run an operation in a thread of its own, yield what it tells, and return what it returns.

    Args:
        operation: Called with what is to be told each event of the engine.
        reader: Reads them.
        stop: Has the engine end in order; called when whoever follows stops before the end.
        beat: Seconds after which a wait is told.
    """
    inbox: queue.SimpleQueue[EngineEvent | _Ended] = queue.SimpleQueue()
    worker = threading.Thread(target=_run, args=(operation, inbox), name="pulumi", daemon=True)
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as raised:
        # What the SDK cannot parse it prints whole, with whatever secrets are in it.
        warnings.simplefilter("always")
        worker.start()
        try:
            ended = yield from _follow(inbox, reader, began, beat)
        finally:
            if worker.is_alive():
                stop()
                worker.join()
    if unread := sum(UNREADABLE in str(one.message) for one in raised):
        yield Unread(unread)
    if ended.error is not None:
        raise ended.error
    return ended.result  # type: ignore[return-value]  # what `operation` returned


def _follow(
    inbox: queue.SimpleQueue[EngineEvent | _Ended], reader: Reader, began: float, beat: float
) -> StackFlow[_Ended]:
    while True:
        try:
            item = inbox.get(timeout=beat)
        except queue.Empty:
            yield Waiting(time.monotonic() - began, reader.in_work())
            continue
        if isinstance(item, _Ended):
            return item
        event = reader.read(item)
        if event is not None:
            yield event


def _run(
    operation: Callable[[Callable[[EngineEvent], None]], T],
    inbox: queue.SimpleQueue[EngineEvent | _Ended],
) -> None:
    try:
        inbox.put(_Ended(operation(inbox.put)))
    except BaseException as error:  # noqa: BLE001 - handed to whoever follows, in their own thread
        inbox.put(_Ended(error=error))


__all__ = ["watched"]
