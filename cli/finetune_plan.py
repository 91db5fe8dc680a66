"""How the plan of a training is looked up and shown: every figure beside its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import print_table, tell
from cli.plans import human
from llmops.units import Bytes

if TYPE_CHECKING:
    from cli.fleet import Shown
    from llmops.finetuning import FineTune
    from llmops.finetuning.planning import Option, TrainingPlan
    from llmops.spec import Placed


def run(read: Placed[FineTune], shown: Shown, *, offline: bool) -> None:
    """Plan a training for this machine, and print it."""
    from cli.options import Format
    from cli.output import print_data
    from cli.places import home
    from cli.specs import placed
    from llmops.finetuning import located
    from llmops.finetuning.planning import plan_document, plan_training
    from serving.lookup import training_facts

    refuse(shown)
    spec = located(read)
    with placed(read):
        base = spec.model
        facts = training_facts(home(), base.source, base.revision, offline=offline)
        plan = plan_training(spec, facts)
    if shown.output is Format.TEXT:
        print_plan(plan)
    else:
        print_data(plan_document(plan), shown.output)


def refuse(shown: Shown, *more: str) -> None:
    """Refuse the views, and those of `more`, that only the plan of a service has.

    Raises:
        InputError: Naming the first such option.
    """
    from llmops.errors import InputError

    for name in ("explain", "compare", "plot", *more):
        if getattr(shown, name) is not None:
            raise InputError(
                f"--{name} is for the plan of a service, and this is a fine-tuning",
                hint="leave it out: the plan has each figure's reason beside it",
            )


def print_plan(plan: TrainingPlan) -> None:
    """Every figure with its reason; then the ways that were weighed, and notes."""
    rows = [
        ("parameters", human(plan.model.parameters, size=False), plan.model.parameters.reason),
        ("trainable", human(plan.model.trainable, size=False), plan.model.trainable.reason),
        ("strategy", f"{plan.strategy} x {plan.workers}", plan.strategy_reason),
        ("cores", human(plan.cores, size=False), plan.cores.reason),
        ("precision", human(plan.precision, size=False), plan.precision.reason),
        ("checkpointing", _yes(plan.gradient_checkpointing), plan.checkpointing_reason),
        ("micro_batch", human(plan.micro_batch, size=False), plan.micro_batch.reason),
        ("accumulation", human(plan.accumulation, size=False), plan.accumulation.reason),
        ("tokens_per_step", human(plan.tokens_per_step, size=False), plan.tokens_per_step.reason),
        ("learning_rate", human(plan.learning_rate, size=False), plan.learning_rate.reason),
    ]
    if plan.steps is not None:
        rows.append(("steps", human(plan.steps, size=False), plan.steps.reason))
    if plan.seconds is not None:
        rows.append(("seconds", human(plan.seconds, size=False), plan.seconds.reason))
    rows += [(line.name, Bytes(line.bytes).human(), line.reason) for line in plan.memory]
    rows += [
        (name, human(figure, size=True), figure.reason)
        for name, figure in (
            ("per_worker", plan.per_worker),
            ("room", plan.room),
            ("total", plan.total),
            ("disk", plan.disk),
        )
    ]
    print_table(("FIGURE", "VALUE", "REASON"), rows)
    if len(plan.options) > 1:
        _print_options(plan.options)
    for note in plan.notes:
        tell(f"note: {note}")


def _print_options(options: tuple[Option, ...]) -> None:
    import typer

    typer.echo()
    print_table(
        ("STRATEGY", "CHECKPOINTING", "MICRO BATCH", "PER WORKER", "FITS"),
        [
            (
                one.strategy,
                _yes(one.checkpointing),
                str(one.micro_batch),
                Bytes(one.bytes).human(),
                "chosen" if one.chosen else _yes(one.fits),
            )
            for one in options
        ],
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
