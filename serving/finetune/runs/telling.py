"""What a run does now, in words for a person who waits. It reads, and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.finetune.runs import store
from serving.finetune.runs.model import Run, Stage
from serving.finetune.runs.paths import RunPaths
from serving.finetune.runs.progress import last_progress

if TYPE_CHECKING:
    from llmops.events import Progress

_WORDS = {
    Stage.MODEL: "having the base model and verifying it",
    Stage.DATA: "preparing the data",
    Stage.TRAINING: "starting the workers",
    Stage.EVALUATION: "the model and what it is compared with answer their exams",
    Stage.ARTEFACT: "keeping what was made, with its lineage",
}


def moment(paths: RunPaths, run: Run, now: float) -> Progress:
    """What a run does at a moment in Unix seconds."""
    from llmops.events import Progress  # what a supervisor, which reads this file too, does without

    own = [attempt for attempt in run.attempts if attempt.session == run.session]
    elapsed = max(0.0, now - (own[-1].started if own else run.updated))
    if run.supervisor is None:
        return Progress(run.state.value, "starting the supervisor", elapsed)
    tries = sum(attempt.stage is run.stage for attempt in own)
    again = f" (attempt {tries})" if tries > 1 else ""
    if run.stage is Stage.TRAINING:
        line = last_progress(paths.progress)
        if line and own and line.get("time", 0.0) >= own[-1].started:
            done, all_of_it = int(line.get("step", 0)), int(line.get("steps", 0))
            percent = 100 * done / all_of_it if all_of_it else None
            return Progress(run.state.value, steps(line) + again, elapsed, percent=percent)
    told = store.read_json(paths.waiting) or {}
    reason, percent = told.get("reason"), told.get("percent")
    return Progress(
        run.state.value,
        (str(reason) if reason else _WORDS[run.stage]) + again,
        elapsed,
        percent=percent if isinstance(percent, int | float) else None,
    )


def steps(line: dict[str, Any]) -> str:
    """A step that is done: `step 12 of 60, loss 1.23, 1,850 tokens/s, 42 s left`."""
    parts = [f"step {line.get('step')} of {line.get('steps')}"]
    if isinstance(loss := line.get("loss"), int | float):
        parts.append(f"loss {loss:.3f}")
    if isinstance(speed := line.get("tokens_per_second"), int | float):
        parts.append(f"{speed:,.0f} tokens/s")
    if isinstance(eta := line.get("eta"), int | float):
        minutes, seconds = divmod(round(eta), 60)
        parts.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
    return ", ".join(parts)
