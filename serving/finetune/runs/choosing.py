"""What `run` does where there are runs already: begins one, goes on with one, or nothing. Pure.

It is asked under the lock of the name, so nobody is at work on any of the runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from serving.finetune.runs.model import Run, State

POINTLESS = frozenset({"diverged", "not-finite"})
"""Kinds of failure that the same spec, data and base would meet again."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A new run; `instead` is one that was interrupted and is given up for it."""

    why: str
    instead: Run | None = None


@dataclass(frozen=True, slots=True)
class GoOn:
    """The last run goes on from what it has done."""

    run: Run
    why: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """The same again would make the same: the last run stands."""

    run: Run
    why: str


def choose(last: Run | None, identity: str, *, again: bool) -> Begin | GoOn | Nothing:
    """What to do.

    Args:
        last: The newest run of the name.
        identity: Of what is asked for now: spec, data and base.
        again: Whether a new run is wanted in any case.
    """
    if last is None:
        return Begin("there was none before")
    unfinished = None if last.state.ended else last
    called = f"run {last.number}"
    if again:
        return Begin("a new one is asked for", unfinished)
    if last.identity != identity:
        return Begin(f"spec, data or base have changed since {called}", unfinished)
    if last.state is State.SUCCEEDED:
        return Nothing(last, f"nothing changed since {called}, which has succeeded")
    if last.state is State.REFUSED:
        return Nothing(last, f"nothing changed since {called}, which its gate has refused")
    if last.failure is not None and last.failure.kind in POINTLESS:
        return Nothing(
            last, f"nothing changed since {called}, which failed: {last.failure.message}"
        )
    how = {State.STOPPED: "was stopped", State.FAILED: "failed"}.get(last.state, "was interrupted")
    return GoOn(last, f"{called} of the same spec, data and base {how}{_at(last)}")


def _at(run: Run) -> str:
    return (
        f" at step {run.step} of {run.steps}" if run.steps else f" in the stage {run.stage.value}"
    )
