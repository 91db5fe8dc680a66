"""A run as it is shown: its record, what its training tells, and whether anybody is at work on it.

It looks and changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from serving.finetune.runs import store
from serving.finetune.runs.model import Failure, Run, Stage, State
from serving.finetune.runs.paths import Named, RunPaths, names
from serving.finetune.runs.progress import last_progress
from serving.lives import lives

INTERRUPTED = "interrupted"
"""What a run is shown as that has not ended and that no supervisor is at work on."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, and what is known of it beside its record."""

    run: Run
    paths: RunPaths
    running: bool
    """Whether its supervisor lives."""
    progress: dict[str, Any]
    """The last line that the training told; empty before its first step."""
    waiting: dict[str, Any]
    """What the stage at work waits for: `reason`, `percent`."""
    checkpoint: int
    gate: dict[str, Any] | None
    artefact: Path | None
    """What was kept, when it is whole."""

    @property
    def state(self) -> str:
        """The run's state, or `interrupted`."""
        return self.run.state.value if self.run.state.ended or self.running else INTERRUPTED

    @property
    def eta(self) -> float | None:
        """Seconds to the training's end, as it told; None where it does not train."""
        told = self.progress.get("eta")
        training = self.run.state is State.TRAINING and self.running
        return float(told) if training and isinstance(told, int | float) else None


def view(paths: RunPaths) -> RunView:
    """Look at a run.

    Raises:
        InputError: When there is none.
    """
    run = store.read(paths)
    whole = (paths.artefact / "manifest.json").exists()
    return RunView(
        run=run,
        paths=paths,
        running=alive(run),
        progress=last_progress(paths.progress),
        waiting=store.read_json(paths.waiting) or {},
        checkpoint=store.checkpoint(paths),
        gate=store.read_json(paths.gate),
        artefact=paths.artefact if whole else None,
    )


def alive(run: Run) -> bool:
    """Whether the run's supervisor lives."""
    found = run.supervisor
    return found is not None and lives(found.pid, found.life)


def find(home: Path, name: str, number: int | None = None) -> RunPaths:
    """A run by its name; the newest where no number is said.

    Raises:
        InputError: When there is none.
    """
    named = Named(home, name)
    numbers = named.numbers()
    if not numbers:
        known = ", ".join(names(home)) or "none"
        raise InputError(
            f"there is no run of '{name}' on this machine",
            hint=f"there are runs of: {known}; llmops finetune run begins one",
        )
    if number is not None and number not in numbers:
        raise InputError(
            f"{name} has no run {number}", hint=f"there are: {', '.join(map(str, numbers))}"
        )
    return named.run(numbers[-1] if number is None else number)


def listing(home: Path, name: str | None = None) -> tuple[RunView, ...]:
    """Every run of a name, or of all names, oldest first.

    Raises:
        InputError: When a name is said that has none.
    """
    if name is not None:
        find(home, name)
    wanted = names(home) if name is None else (name,)
    found = [Named(home, one) for one in wanted]
    return tuple(view(named.run(number)) for named in found for number in named.numbers())


def document(seen: RunView) -> dict[str, Any]:
    """What `status -o json` prints. Times are Unix seconds; what is not known is null."""
    run, told = seen.run, seen.progress
    ended = run.ended or time.time()
    return {
        "name": run.name,
        "run": run.number,
        "state": seen.state,
        "stage": run.stage.value,
        "step": run.step,
        "steps": run.steps or None,
        "loss": told.get("loss"),
        "tokens": told.get("tokens"),
        "tokens_per_second": told.get("tokens_per_second"),
        "learning_rate": told.get("learning_rate"),
        "eta_seconds": seen.eta,
        "checkpoint": seen.checkpoint or None,
        "started_at": run.started,
        "updated_at": run.updated,
        "ended_at": run.ended,
        "seconds": ended - run.started,
        "attempts": [
            {
                "stage": attempt.stage.value,
                "started_at": attempt.started,
                "ended_at": attempt.ended,
                "from_step": attempt.at if attempt.stage is Stage.TRAINING else None,
                "failure": _failure(attempt.failure),
            }
            for attempt in run.attempts
        ],
        "failure": _failure(run.failure),
        "gate": seen.gate,
        "artefact": f"run://{run.name}/{run.number}" if seen.artefact else None,
        "folder": str(seen.paths.folder),
        "pid": run.supervisor.pid if run.supervisor and seen.running else None,
    }


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "kind": failure.kind,
        "message": failure.message,
        "hint": failure.hint,
        "step": failure.step,
        "sources": list(failure.sources),
    }
