"""From the engine's events to ours: one at a time, and folded to what a preview says.

It reads what Pulumi's SDK has parsed and knows that there will be events that it does not: those
are passed over, never a failure. What resources are made of is never looked at: it is not told.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from infra.automation.model import (
    Counted,
    Operation,
    ResourceEvent,
    StackChange,
    StackEvent,
    Told,
    short,
)

if TYPE_CHECKING:
    from pulumi.automation.events import (
        DiagnosticEvent,
        EngineEvent,
        StepEventMetadata,
    )

OPERATIONS: Mapping[str, Operation] = {
    "create": Operation.CREATE,
    "import": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "discard": Operation.DELETE,
    "replace": Operation.REPLACE,
    "create-replacement": Operation.REPLACE,
    "delete-replaced": Operation.REPLACE,
    "discard-replaced": Operation.REPLACE,
    "import-replacement": Operation.REPLACE,
    "remove-pending-replace": Operation.REPLACE,
    "read-replacement": Operation.REPLACE,
    "same": Operation.SAME,
    "read": Operation.READ,
    "refresh": Operation.READ,
}
"""By the engine's own name of a step. A replacement is made of several steps, and is one change."""

COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
"""How the engine marks up its texts."""
LONGEST = 600
"""Characters of one reason."""

State = Literal["began", "done", "failed"]


class Reader:
    """Reads the events of one operation in their order."""

    def __init__(
        self, clean: Callable[[str], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clean = clean
        self._clock = clock
        self._began: dict[tuple[str, str], float] = {}
        self._said: dict[str, str] = {}
        self.errors: list[tuple[str, str]] = []
        """What went wrong: name of a resource (or `stack`), and the sentence."""

    def read(self, event: EngineEvent) -> StackEvent | None:
        """What an event tells; None for one that tells nothing to a person."""
        if event.resource_pre_event is not None:
            return self._step(event.resource_pre_event.metadata, "began")
        if event.res_outputs_event is not None:
            return self._step(event.res_outputs_event.metadata, "done")
        if event.res_op_failed_event is not None:
            return self._step(event.res_op_failed_event.metadata, "failed")
        if event.diagnostic_event is not None:
            return self._diagnostic(event.diagnostic_event)
        if event.summary_event is not None:
            summary = event.summary_event
            changes = {str(getattr(k, "value", k)): v for k, v in summary.resource_changes.items()}
            return Counted(changes, float(summary.duration_seconds), summary.maybe_corrupt)
        return None

    def in_work(self) -> tuple[tuple[str, float], ...]:
        """Resources whose operation has begun and not ended, and their seconds."""
        now = self._clock()
        return tuple((short(urn), now - began) for (urn, _), began in self._began.items())

    def _step(self, step: StepEventMetadata, state: State) -> ResourceEvent:
        key = (step.urn, step.op.value)
        now = self._clock()
        began = self._began.setdefault(key, now) if state == "began" else self._began.pop(key, now)
        reason = ", ".join(_keys(step))
        if state == "failed":
            reason = self._said.get(step.urn, "the engine gave no reason")
        return ResourceEvent(
            step.urn,
            step.type,
            short(step.urn),
            OPERATIONS.get(step.op.value, Operation.OTHER),
            state,
            now - began,
            reason,
        )

    def _diagnostic(self, event: DiagnosticEvent) -> Told | None:
        text = self.sentence(event.message)
        if not text or event.ephemeral:
            return None
        if event.severity == "error":
            self._said[event.urn or ""] = text
            self.errors.append((short(event.urn) if event.urn else "stack", text))
        severity = "info" if event.severity.startswith("info") else event.severity
        return Told(severity, text, event.urn or "")

    def sentence(self, text: str) -> str:
        """A text of the engine's, without its colours, line ends and secrets."""
        return self._clean(" ".join(COLOURS.sub("", text).split()))[:LONGEST]


def changes(events: Iterable[StackEvent]) -> tuple[StackChange, ...]:
    """What a preview says, one change for each resource in the order it was first named.

    A step of a replacement outweighs the others that the engine reports for the same resource.
    """
    found: dict[str, StackChange] = {}
    for event in events:
        if not isinstance(event, ResourceEvent) or event.state != "began":
            continue
        old = found.get(event.urn)
        if old is None or event.operation is Operation.REPLACE:
            found[event.urn] = _change(event, old)
    return tuple(found.values())


def _change(event: ResourceEvent, old: StackChange | None) -> StackChange:
    keys = tuple(key for key in event.reason.split(", ") if key)
    return StackChange(
        event.urn,
        event.kind,
        event.name,
        event.operation,
        keys or (old.keys if old else ()),
    )


def _keys(step: StepEventMetadata) -> tuple[str, ...]:
    """What differs; for a replacement what forces it."""
    return tuple(step.keys or step.diffs or ())


def sentences(text: str) -> list[str]:
    """The sentences of a failed command's output that say why."""
    lines = [line.strip().removeprefix("stderr:").strip() for line in text.splitlines()]
    return [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]


__all__ = ["Reader", "changes", "sentences"]
