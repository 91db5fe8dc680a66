"""A run in words: its states, its stages, its attempts, and why it ended. Values only.

What is written here is read by later versions, so a field is added and none changes its meaning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """What is done one after the other, each by a program of its own."""

    MODEL = "model"
    """The base is had and verified."""
    DATA = "data"
    """The rows are prepared, and the training is planned."""
    TRAINING = "training"
    EVALUATION = "evaluation"
    """The model answers its exams, and the gate says whether it may serve."""
    ARTEFACT = "artefact"
    """What was made is kept with its lineage."""


class State(StrEnum):
    """What a run is. The last four have ended."""

    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    SUCCEEDED = "succeeded"
    """It is kept and may serve."""
    REFUSED = "refused"
    """It is kept, and its gate says that it may not serve."""
    STOPPED = "stopped"
    """It was told to; it can go on."""
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in (State.SUCCEEDED, State.REFUSED, State.STOPPED, State.FAILED)

    @property
    def judged(self) -> bool:
        """Whether nothing is left to do."""
        return self in (State.SUCCEEDED, State.REFUSED)


DURING = {
    Stage.MODEL: State.PREPARING,
    Stage.DATA: State.PREPARING,
    Stage.TRAINING: State.TRAINING,
    Stage.EVALUATION: State.EVALUATING,
    Stage.ARTEFACT: State.EVALUATING,
}
"""The state in which a stage is done."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt at a stage ended before its end."""

    kind: str
    """A word that programs know: `killed`, `out-of-memory`, `disk-full`, `diverged` …"""
    message: str
    hint: str = ""
    exit_code: int = 5
    """What a command that waited for it ends with."""
    step: int = 0
    """Steps that were finished."""
    sources: tuple[str, ...] = ()
    """Of a bad loss: the rows of the step's batch, as `file:line`."""
    again: bool = False
    """Whether the same may go well in another attempt."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a stage's program. Times are Unix seconds."""

    stage: Stage
    session: int
    """Counts what a person has begun: the run itself, and each `resume`."""
    pid: int
    pid_started: float
    started: float
    at: int = 0
    """Step of the checkpoint that it went on from."""
    ended: float | None = None
    failure: Failure | None = None
    """Why it ended before its end; None while it runs, and when it got there."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for another that is given its pid later."""

    pid: int
    life: str
    """See `serving.lives`."""
    host: str


@dataclass(frozen=True, slots=True)
class Run:
    """What `state.json` says. Times are Unix seconds."""

    name: str
    number: int
    identity: str
    """Digest of what was asked for: spec, data and base. Two runs of one identity make the same."""
    revision: str = ""
    """What pins the base, as it was looked up when the run began."""
    state: State = State.PREPARING
    stage: Stage = Stage.MODEL
    step: int = 0
    steps: int = 0
    """0 while that is not known."""
    session: int = 1
    started: float = 0.0
    updated: float = 0.0
    ended: float | None = None
    supervisor: Process | None = None
    attempts: tuple[Attempt, ...] = ()
    failure: Failure | None = None
    """Why it has failed, or why its gate refuses it."""
    note: str = ""
    """What else is to be known of its end."""


def to_document(run: Run) -> dict[str, Any]:
    """As JSON can hold it."""
    return dataclasses.asdict(run)


def from_document(document: Mapping[str, Any]) -> Run:
    """What `to_document` gave; fields of a later version are passed over.

    Raises:
        KeyError, TypeError, ValueError: When it is not such a document.
    """
    values = _known(Run, document)
    values["state"], values["stage"] = State(values["state"]), Stage(values["stage"])
    supervisor = values.get("supervisor")
    values["supervisor"] = Process(**_known(Process, supervisor)) if supervisor else None
    values["attempts"] = tuple(_attempt(one) for one in values.get("attempts", ()))
    values["failure"] = failure_of(values.get("failure"))
    return Run(**values)


def failure_of(document: Mapping[str, Any] | None) -> Failure | None:
    """A failure from its document; None of none.

    Raises:
        KeyError, TypeError: When it is not such a document.
    """
    if document is None:
        return None
    values = _known(Failure, document)
    return Failure(**values | {"sources": tuple(values.get("sources", ()))})


def _attempt(document: Mapping[str, Any]) -> Attempt:
    values = _known(Attempt, document)
    values["stage"] = Stage(values["stage"])
    values["failure"] = failure_of(values.get("failure"))
    return Attempt(**values)


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in document.items() if name in names}
