"""What a run does next: one pure function of what is seen of it.

Nothing is remembered between two steps but what lies in the run's folder, so a run that was killed
anywhere goes on by being looked at. Nothing here reads a file, a clock or a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.finetune.runs.model import Attempt, Failure, Stage, State

TRIES = 3
"""Attempts at one stage, in one session, that get no further than the one before. An attempt that
has left a newer checkpoint than it went on from has got further, so a training that is interrupted
once an hour ends."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is seen of a run."""

    done: frozenset[Stage] = frozenset()
    """Stages whose outcome is whole."""
    passed: bool | None = None
    """What the gate says; None while it has not been asked."""
    stop: bool = False
    """Whether it was told to stop."""
    attempts: tuple[Attempt, ...] = ()
    session: int = 1
    checkpoint: int = 0
    """Step of the newest checkpoint."""


@dataclass(frozen=True, slots=True)
class Do:
    """Start the stage's program."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more is done."""

    state: State
    failure: Failure | None = None


def next_stage(seen: Observed) -> Do | End:
    """What to do now: a stage, or nothing more.

    A stage is begun only when every stage before it is done. What is whole is never done again.
    """
    left = [stage for stage in Stage if stage not in seen.done]
    if not left:
        return End(State.SUCCEEDED if seen.passed else State.REFUSED)
    if seen.stop:
        return End(State.STOPPED)
    stage = left[0]
    tried = [a for a in seen.attempts if a.stage is stage and a.session == seen.session]
    failure = _given_up(stage, tried, seen.checkpoint)
    return End(State.FAILED, failure) if failure else Do(stage)


def _given_up(stage: Stage, tried: Sequence[Attempt], checkpoint: int) -> Failure | None:
    """Why the stage is not tried again; None when it is."""
    if not tried:
        return None
    last = tried[-1].failure
    if last is not None and not last.again:
        return last
    here = checkpoint if stage is Stage.TRAINING else 0
    stuck = [attempt for attempt in tried if attempt.at >= here]
    if len(stuck) < TRIES:
        return None
    cause = last.message if last else "it ended without a word"
    where = f" at step {here}" if here else ""
    return Failure(
        kind=last.kind if last else "unexpected",
        message=f"{stage.value} ended {len(stuck)} times{where}; the last time: {cause}",
        hint=last.hint if last else "",
        exit_code=last.exit_code if last else 5,
        step=here,
        sources=last.sources if last else (),
    )
