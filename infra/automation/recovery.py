"""An update that takes up what an earlier one has left: a lock, operations cut off, a failure.

Nothing has to be repaired by hand. A lock whose holder is known to be dead is dropped; what is
pending is asked of the cloud first. A creation that was cut off may have made something that
nobody has recorded: its name is told, and `llmops cluster sweep` finds it by its tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from infra.automation.locks import Locked
from infra.automation.model import Outputs, StackFlow, Told, short
from infra.automation.port import StackEngine

T = TypeVar("T")


def bring_up(
    engine: StackEngine, message: str = "", *, refresh: bool = False
) -> StackFlow[Outputs]:
    """Make the stack as its program says, whatever an earlier run has left.

    Args:
        engine: Of the stack.
        message: Of the update.
        refresh: Whether the cloud is asked first, since something is not as the stack's record
            says.

    Raises:
        Locked: When somebody alive, or not known to be dead, is at work on it.
        StackFailed: When resources failed.
    """

    def update() -> StackFlow[Outputs]:
        yield from settle(engine)
        if refresh:
            yield from engine.refresh()
        return (yield from engine.up(message))

    return (yield from unlocked(engine, update))


def take_down(engine: StackEngine, *, keep_data: bool = True) -> StackFlow[None]:
    """Remove the stack, whatever an earlier run has left."""

    def remove() -> StackFlow[None]:
        yield from settle(engine)
        yield from engine.destroy(keep_data=keep_data)

    yield from unlocked(engine, remove)


def settle(engine: StackEngine) -> StackFlow[None]:
    """Learn what became of operations that a killed run has left pending."""
    pending = engine.state().pending
    if not pending:
        return
    names = ", ".join(f"{one.operation} {short(one.urn)}" for one in pending)
    yield Told(
        "warning", f"an earlier run was cut off while {names}: asking the cloud what is there"
    )
    yield from engine.refresh(clear_pending=True)
    made = [short(one.urn) for one in pending if one.operation == "creating"]
    if made:
        yield Told(
            "warning",
            f"whether {', '.join(made)} was made then is not known; if it was made twice,"
            " llmops cluster sweep lists what is left over",
        )


def unlocked(engine: StackEngine, work: Callable[[], StackFlow[T]]) -> StackFlow[T]:
    """Do it; once more when the lock in its way is that of a dead process of this host."""
    try:
        return (yield from work())
    except Locked as error:
        if not error.stale:
            raise _named(engine, error) from error
        yield Told("warning", f"{error.message}, which has ended: its lock is dropped")
    engine.cancel()
    return (yield from work())


def _named(engine: StackEngine, error: Locked) -> Locked:
    """The refusal with a name: a backend that is a service names nobody in it, but keeps who began
    the update that has not ended."""
    if error.holders:
        return error
    newest = next(iter(engine.history()), None)
    who = newest.who if newest is not None and newest.ended is None else ""
    return Locked(error.stack, (), who)


__all__ = ["bring_up", "settle", "take_down", "unlocked"]
