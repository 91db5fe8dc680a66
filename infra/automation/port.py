"""The port behind which stacks are made: what the rest of llmops may ask of an engine.

Whoever follows these flows imports no SDK. Every operation may be repeated after a crash at any
instant: it completes, or finds that nothing is left to do.
"""

from __future__ import annotations

from typing import Protocol

from infra.automation.model import Outputs, StackChange, StackFlow, StackState, Update


class StackReader(Protocol):
    """What can be learned of one stack. Nothing here changes it or makes it."""

    def preview(self) -> StackFlow[tuple[StackChange, ...]]:
        """What `up` would do, by a trial run of the engine; of a stack that is not there yet, that
        everything would be created."""
        ...

    def exists(self) -> bool: ...

    def outputs(self) -> Outputs:
        """What it says of itself; nothing while it is not there."""
        ...

    def state(self) -> StackState:
        """What its record holds, without any secret; nothing while it is not there."""
        ...

    def history(self) -> tuple[Update, ...]:
        """Its updates, the newest first."""
        ...


class StackEngine(StackReader, Protocol):
    """What makes, changes and removes one stack."""

    def up(self, message: str = "") -> StackFlow[Outputs]:
        """Make it as the program says.

        Raises:
            StackFailed: With what the cloud said of each resource that failed.
            BusyError: When another update of this stack is at work; names its holder.
        """
        ...

    def refresh(self, *, clear_pending: bool = False) -> StackFlow[None]:
        """Learn from the cloud what there is; `clear_pending` drops creations that were cut off,
        of which nobody knows whether they happened."""
        ...

    def destroy(self, *, keep_data: bool = True) -> StackFlow[None]:
        """Remove everything of it, then its record; nothing when there is none.

        What is protected because it holds data stays, and with it the record, unless `keep_data`
        is false.
        """
        ...

    def cancel(self) -> None:
        """Drop the lock of an update that no longer runs. Of one that runs, the state is lost:
        ask only when its holder is known to be dead."""
        ...


class Backend(Protocol):
    """Where stacks are kept. Every method raises InputError where it cannot be asked."""

    def version(self) -> str:
        """Version of the engine's program."""
        ...

    def url(self) -> str: ...

    def stacks(self) -> tuple[str, ...]:
        """Names of the project's stacks."""
        ...

    def state(self, stack: str) -> StackState: ...


__all__ = ["Backend", "StackEngine", "StackReader"]
