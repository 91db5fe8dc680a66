"""What happens to a stack, in the words of the flow: the same events as every other target's.

What is as it was is not told, resource by resource: of forty that stay, nobody reads a line.
"""

from __future__ import annotations

from typing import TypeVar

from infra.automation import (
    Counted,
    Operation,
    ResourceEvent,
    StackEvent,
    StackFlow,
    Told,
    Unread,
    Waiting,
)
from llmops.events import Event, Flow, Progress, ResourceProgress, Warned

T = TypeVar("T")

QUIET = frozenset({Operation.SAME, Operation.READ})
MOST = 3
"""Resources that a wait names."""


def told(flow: StackFlow[T], phase: str, *, trial: bool = False) -> Flow[T]:
    """A stack's flow as a flow of ours; closing it closes the other. In a trial nothing is changed,
    so that nothing is told as if it were."""
    try:
        while True:
            try:
                event = next(flow)
            except StopIteration as end:
                result: T = end.value
                return result
            if trial and isinstance(event, ResourceEvent):
                yield Progress(phase, f"looking at {event.name}")
            elif (said := _said(event, phase)) is not None:
                yield said
    finally:
        flow.close()


def _said(event: StackEvent, phase: str) -> Event | None:
    if isinstance(event, Waiting):
        return Progress(phase, _waited(event), event.elapsed)
    if isinstance(event, Told):
        # An error is told once more with what failed, and then it is complete.
        return Warned(event.text) if event.severity == "warning" else None
    if isinstance(event, Counted):
        corrupt = "pulumi says that the stack's record may be damaged: deploy again to settle it"
        return Warned(corrupt) if event.corrupt else None
    if isinstance(event, Unread):
        return Warned(f"pulumi told {event.count} thing(s) that this version cannot read")
    if event.operation in QUIET:
        return None
    return ResourceProgress(
        event.name, event.kind, event.operation.value, event.state, event.elapsed, event.reason
    )


def _waited(event: Waiting) -> str:
    if not event.resources:
        return "pulumi is at work"
    longest = sorted(event.resources, key=lambda one: -one[1])[:MOST]
    named = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in longest)
    more = len(event.resources) - len(longest)
    return f"waiting for {named}" + (f" and {more} more" if more else "")


__all__ = ["told"]
