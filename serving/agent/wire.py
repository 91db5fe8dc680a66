"""Events and errors as plain data, and back.

Of events only those travel that tell of the work: a plan was shown where it was asked for, and the
text of a key is never written anywhere. An error comes back as what it was, so that the command
ends with the exit code that it would have had on the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from llmops import errors
from llmops.errors import LlmopsError, RefusedError, TargetError
from llmops.events import Event, Progress, StepBegun, StepEnded
from serving.agent.words import Fault

KINDS: dict[str, type[Progress | StepBegun | StepEnded]] = {
    "progress": Progress,
    "begun": StepBegun,
    "ended": StepEnded,
}


def event_document(event: Event) -> dict[str, Any] | None:
    """An event as plain data; None for one that does not travel."""
    for kind, made in KINDS.items():
        if isinstance(event, made):
            return {"kind": kind, **asdict(event)}
    return None


def parse_events(documents: Iterable[dict[str, Any]]) -> Iterable[Event]:
    """The events again; what this version does not know is passed over."""
    for document in documents:
        made = KINDS.get(document.get("kind", ""))
        if made is not None:
            known = {f: document[f] for f in made.__dataclass_fields__ if f in document}
            yield made(**known)


def fault_of(error: LlmopsError) -> Fault:
    """An error as it travels. What policies found is in its message."""
    return Fault(
        type(error).__name__, error.message, error.hint, error.path, error.exit_code,
        serving=isinstance(error, TargetError) and error.serving,
    )  # fmt: skip


def error_of(fault: Fault) -> LlmopsError:
    """The error again: of its own class where that takes no more than was told."""
    made = getattr(errors, fault.kind, None)
    if isinstance(made, type) and issubclass(made, TargetError):
        return made(fault.message, hint=fault.hint, serving=fault.serving)
    if made in (errors.InputError, errors.RefusedError, errors.BusyError, errors.ModelError):
        again: LlmopsError = made(fault.message, hint=fault.hint, path=fault.path)
        return again
    kind = RefusedError if fault.exit_code == RefusedError.exit_code else LlmopsError
    return kind(fault.message, hint=fault.hint, path=fault.path)
