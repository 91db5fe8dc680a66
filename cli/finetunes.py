"""Runs of fine-tuning, as people read them; and the wait for one to end."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cli.options import Format

if TYPE_CHECKING:
    from serving.finetune.runs import Failure, Run, RunView, Started

INTERRUPTED = 130
REFUSED = 3


def run_names(incomplete: str) -> list[str]:
    """Names that have runs, for the shell's completion."""
    from cli.places import home
    from serving.finetune.runs import names

    return [name for name in names(home()) if name.startswith(incomplete)]


def print_view(seen: RunView) -> None:
    """Everything that is known of a run."""
    from cli.output import ago, seconds

    run, told = seen.run, seen.progress
    typer.echo(f"{run.name} run {run.number}: {seen.state}{_where(seen)}")
    lines = [("began", ago(run.started))]
    if run.ended is not None:
        lines.append(("ended", f"{ago(run.ended)}, after {seconds(run.ended - run.started)}"))
    if told:
        lines.append(("step", _step(told)))
    if seen.checkpoint:
        lines.append(("checkpoint", f"step {seen.checkpoint}"))
    if not run.state.ended and seen.running:
        lines += [("now", str(seen.waiting["reason"]))] if seen.waiting.get("reason") else []
    lines += [("attempt", text) for text in _attempts(run)]
    lines += _end(run)
    lines += [("gate", text) for text in gate_lines(seen.gate)]
    if seen.artefact:
        lines.append(("artefact", f"run://{run.name}/{run.number}"))
    lines.append(("folder", str(seen.paths.folder)))
    width = max(len(head) for head, _ in lines)
    for head, text in lines:
        typer.echo(f"  {head.ljust(width)}  {text}")
    if seen.state == "interrupted":
        typer.echo(f"nobody is at work on it; to go on: llmops finetune resume {run.name}")


def _where(seen: RunView) -> str:
    return "" if seen.run.state.ended else f", stage {seen.run.stage.value}"


def _step(told: dict[str, Any]) -> str:
    parts = [f"{told.get('step')} of {told.get('steps')}"]
    for name, form in (("loss", "loss {:.3f}"), ("tokens_per_second", "{:,.0f} tokens/s")):
        if isinstance(found := told.get(name), int | float):
            parts.append(form.format(found))
    return ", ".join(parts)


def _attempts(run: Run) -> list[str]:
    """The attempts that ended before their end: each with its cause."""
    found = []
    for attempt in run.attempts:
        if attempt.failure and attempt.ended is not None:
            when = datetime.fromtimestamp(attempt.ended).astimezone().strftime("%H:%M:%S")
            found.append(f"{when} {' '.join(attempt.failure.message.split())}")
    return found


def _end(run: Run) -> list[tuple[str, str]]:
    lines = [("why", run.note)] if run.note else []
    failure = run.failure
    if failure is None:
        return lines
    lines.append(("why", f"{failure.message} ({failure.kind})"))
    if failure.sources:
        lines.append(("rows", ", ".join(failure.sources[:8])))
    if failure.hint:
        lines.append(("hint", failure.hint))
    return lines


def gate_lines(gate: dict[str, Any] | None) -> list[str]:
    """What a gate said of each exam."""
    if gate is None:
        return []
    verdicts = gate.get("verdicts", [])
    if not verdicts:
        return ["none: the spec asks for no exam"]
    return [f"{one['outcome']}: {one['reason']}" for one in verdicts]


def print_listing(found: tuple[RunView, ...]) -> None:
    """A line for each run."""
    from cli.output import ago, print_table, seconds

    rows = []
    for seen in found:
        run = seen.run
        end = run.ended or run.updated
        steps = f"{run.step}/{run.steps}" if run.steps else "-"
        loss = seen.progress.get("loss")
        rows.append(
            (
                run.name,
                str(run.number),
                seen.state,
                steps,
                f"{loss:.3f}" if isinstance(loss, int | float) else "-",
                ago(run.started),
                seconds(end - run.started),
            )
        )
    print_table(("NAME", "RUN", "STATE", "STEPS", "LOSS", "BEGAN", "TOOK"), rows)


def finish(started: Started, *, detach: bool, output: Format) -> None:
    """Watch a run that was begun to its end, and end as it does; or leave it to itself."""
    from cli.output import print_data, tell
    from serving.finetune.runs import document, signed, view

    paths = started.paths
    if detach:
        signed(started)
        if output is not Format.TEXT:
            print_data(document(view(paths)), output)
        else:
            tell(background(paths.named.name, paths.number))
        return
    run = wait_for(started)
    seen = view(paths)
    if output is not Format.TEXT:
        print_data(document(seen), output)
    elif not run.failure:
        print_end(seen)
    leave_with(run)


def wait_for(started: Started) -> Run:
    """Show a run until it ends. An interrupt leaves it to go on, and says so."""
    from cli.output import Drawer, draw
    from serving.finetune.runs import follow

    name, number = started.paths.named.name, started.paths.number

    def leave(_number: int, _frame: object) -> None:
        """An interrupt is for the one that watches; the run has a process of its own."""
        os.write(2, f"\n{background(name, number)}\n".encode())
        raise KeyboardInterrupt

    before = {one: signal.signal(one, leave) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        return draw(follow(started.paths, started.process), Drawer())
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def background(name: str, number: int) -> str:
    """That a run goes on by itself, and what can be done with it."""
    return (
        f"run {number} of {name} goes on in the background\n"
        f"  llmops finetune status {name}          how far it is\n"
        f"  llmops finetune logs {name} --follow   what it prints\n"
        f"  llmops finetune stop {name}            stop it with a checkpoint"
    )


def print_end(seen: RunView) -> None:
    """How a run has ended, and what can be done next."""
    from cli.output import tell

    run = seen.run
    typer.echo(f"{run.name}: run {run.number} {_ended(run)}")
    for text in gate_lines(seen.gate):
        typer.echo(f"gate: {text}")
    if run.state.value == "succeeded":
        tell(f"to serve it: llmops finetune promote {run.name}/{run.number} --service NAME")
    elif run.state.value == "refused":
        tell(f"it is kept, and not served: run://{run.name}/{run.number}")


def _ended(run: Run) -> str:
    return {
        "succeeded": "has succeeded",
        "refused": "is refused by its gate",
        "stopped": "has stopped",
        "failed": "has failed",
    }[run.state.value]


def leave_with(run: Run) -> NoReturn:
    """End with the code that says how a run has ended.

    Raises:
        LlmopsError: Of a run that failed: why, as its program said.
    """
    if run.state.value == "failed" and run.failure:
        raise _error(run, run.failure)
    raise typer.Exit({"succeeded": 0, "refused": REFUSED, "stopped": INTERRUPTED}[run.state.value])


def _error(run: Run, failure: Failure) -> Exception:
    from llmops.errors import LlmopsError

    rows = f"; rows of the batch: {', '.join(failure.sources[:8])}" if failure.sources else ""
    hint = failure.hint or f"llmops finetune logs {run.name} shows what it printed"
    shown = LlmopsError(
        f"run {run.number} of {run.name} failed: {failure.message}{rows}", hint=hint
    )
    shown.exit_code = failure.exit_code
    return shown
