"""`llmops finetune run`: data, training, exams, gate, artefact; in the background, and watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.finetune_options import DEFAULT_FILE, Detach, FineTuneFiles
from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from llmops.finetuning import FineTune
    from llmops.finetuning.planning import TrainingPlan
    from llmops.spec import Placed
    from serving.finetune.runs import Begin, Claim, GoOn, Resolved, RunPaths, Started

NAME = "run"


def command(
    file: FineTuneFiles = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Begin a new run, though nothing has changed since the last."),
    ] = False,
    detach: Detach = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Train as the file says, judge the result, and keep it; nothing is served.

    The run has a process of its own and goes on when this command is interrupted or its terminal
    closes: this only watches. Whatever is killed, the same command goes on from the last
    checkpoint. Where spec, data and base are those of the last run, and that has ended, nothing is
    done. Ends with 0 when the model passes its gate, 3 when the gate refuses it (it is kept, and
    not served), 5 when the training fails.
    """
    from cli.finetunes import finish
    from cli.output import ask, may_ask, tell
    from cli.places import home
    from cli.specs import placed
    from llmops.errors import RefusedError
    from llmops.finetuning import located, read_finetune
    from serving.finetune.runs import Begin, Claim, Named, Nothing, choose, resolve

    may_ask(yes)
    read = read_finetune(file or [DEFAULT_FILE])
    with placed(read), Claim(Named(home(), read.value.name), "made ready to run") as claim:
        spec = located(read)
        resolved = resolve(home(), spec)
        last = claim.last()
        chosen = choose(last[1] if last else None, resolved.identity, again=again)
        if isinstance(chosen, Nothing):
            tell(f"{spec.name}: {chosen.why}")
            tell("--again begins a new run all the same")
            _stand(claim.named.run(chosen.run.number), output)
            return
        _preview(read, resolved, chosen)
        if not yes and not ask("Run this?"):
            raise RefusedError("nothing was changed")
        if isinstance(chosen, Begin):
            started = _begin(claim, resolved, chosen)
        else:
            paths = claim.named.run(chosen.run.number)
            claim.reopen(paths)
            started = claim.launch(paths)
    finish(started, detach=detach, output=output)


def _begin(claim: Claim, resolved: Resolved, chosen: Begin) -> Started:
    paths = claim.create(resolved.document, resolved.identity, resolved.revision)
    if chosen.instead is not None:
        claim.close(claim.named.run(chosen.instead.number), f"run {paths.number} took its place")
    return claim.launch(paths)


def _stand(paths: RunPaths, output: Format) -> None:
    """Say how the run has ended that stands, and end as it did."""
    from cli.finetunes import leave_with, print_end
    from cli.output import print_data
    from serving.finetune.runs import document, view

    seen = view(paths)
    if output is Format.TEXT:
        print_end(seen)
    else:
        print_data(document(seen), output)
    leave_with(seen.run)


def _preview(read: Placed[FineTune], resolved: Resolved, chosen: Begin | GoOn) -> None:
    """What would be done, in a few lines; `llmops plan` gives every figure's reason."""
    from cli.output import tell
    from cli.plans import human
    from serving.finetune.runs import GoOn

    spec, plan = read.value, resolved.plan
    what = f"run {chosen.run.number} goes on" if isinstance(chosen, GoOn) else "a new run"
    tell(f"{spec.name}: {what}: {chosen.why}")
    lines = [
        ("base", f"{plan.model.source} at {plan.model.revision[:12]}"),
        ("data", ", ".join(rows.source for rows in spec.data.train)),
        ("method", f"{plan.method}, {human(plan.model.trainable, size=False)} parameters trained"),
        ("training", _training(spec, plan)),
        ("memory", _memory(plan)),
        ("exams", "; ".join(_exams(spec)) or "none: whatever comes out may be served"),
    ]
    if plan.seconds is not None:
        lines.append(("time", f"about {int(plan.seconds.value)} s ({plan.seconds.reason})"))
    for head, text in lines:
        tell(f"  {head:<8}  {text}")
    for note in plan.notes:
        tell(f"  note: {note}")


def _training(spec: FineTune, plan: TrainingPlan) -> str:
    epochs = f"{spec.training.epochs} epochs, steps"
    steps = f"{plan.steps.value} steps" if plan.steps else epochs
    return (
        f"{steps} of {plan.tokens_per_step.value} tokens, learning rate"
        f" {plan.learning_rate.value}, {plan.strategy} with {plan.workers} workers,"
        f" {plan.precision.value}"
    )


def _memory(plan: TrainingPlan) -> str:
    from cli.plans import human

    one, room, disk = (
        human(figure, size=True) for figure in (plan.per_worker, plan.room, plan.disk)
    )
    return f"{one} a worker, which may take {room}; {disk} of disk"


def _exams(spec: FineTune) -> list[str]:
    found = []
    for exam in spec.eval:
        bounds = [f"at least {exam.min:g}"] if exam.min is not None else []
        bounds += [f"at most {exam.max:g}"] if exam.max is not None else []
        bounds += [f"no worse than {exam.no_worse_than}"] if exam.no_worse_than else []
        found.append(f"{exam.metric} of {exam.set}: {', '.join(bounds) or 'measured only'}")
    return found
