"""`llmops finetune data`: prepare the data of a fine-tuning, and say what became of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.finetune_options import DEFAULT_FILE, FineTuneFiles
from cli.options import Format, Output

if TYPE_CHECKING:
    from serving.finetune.data import Prepared

NAME = "data"

HEADS = ("STEP", "BEFORE", "AFTER", "REMOVED", "CHANGED", "WHY")


class OnBad(StrEnum):
    """What is done with a row that is not of its format."""

    FAIL = "fail"
    SKIP = "skip"


def command(
    file: FineTuneFiles = None,
    on_bad: Annotated[
        OnBad | None,
        typer.Option(
            "--on-bad",
            help="What to do with a row that cannot be read: fail and name it, or skip and count"
            " it. Default: what the file says.",
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Prepare the data: clean it, tokenise it, and write a report. Nothing is trained.

    The result lies in LLMOPS_HOME/finetune/NAME/data and is what `llmops finetune run` trains on;
    the same inputs are not prepared twice.
    """
    from cli.output import Drawer, print_data
    from cli.places import home
    from cli.specs import placed
    from llmops.events import Progress
    from llmops.finetuning import located, read_finetune
    from serving.finetune.data import prepare, settings_of, tokenizer_folder
    from serving.finetune.runs import Named

    drawer = Drawer()

    def tell(reason: str) -> None:
        drawer.progress(Progress("data", reason))

    read = read_finetune(file or [DEFAULT_FILE])
    with placed(read):
        spec = located(read)
        if on_bad is not None:
            data = spec.data.model_copy(update={"on_bad": on_bad.value})
            spec = spec.model_copy(update={"data": data})
        try:
            base = tokenizer_folder(home(), spec.model, tell)
            prepared = prepare(settings_of(spec), base, Named(home(), spec.name).data, tell)
        finally:
            drawer.still()
    if output is Format.TEXT:
        print_prepared(prepared)
    else:
        print_data(document(prepared), output)


def document(prepared: Prepared) -> dict[str, Any]:
    """What was prepared, as data."""
    return {
        "folder": str(prepared.folder),
        "fresh": prepared.fresh,
        "report": str(prepared.folder / "report.html"),
        **prepared.manifest,
    }


def print_prepared(prepared: Prepared) -> None:
    """What each step did, and where the result lies."""
    from cli.output import print_table, tell

    if not prepared.fresh:
        tell("already prepared: nothing changed")
    manifest = prepared.manifest
    print_table(HEADS, [_row(step) for step in manifest["steps"]])
    for side, name in (("train", "to learn from"), ("eval", "held out")):
        held = manifest[side]
        typer.echo(
            f"{held['rows']:,} rows {name}: {held['tokens']:,} tokens,"
            f" {held['learnt_tokens']:,} learnt, {held['longest']:,} in the longest row"
        )
    typer.echo(f"data: {prepared.folder}")
    typer.echo(f"report: {prepared.folder / 'report.html'}")


def _row(step: dict[str, Any]) -> tuple[str, ...]:
    why = ", ".join(f"{reason}: {count:,}" for reason, count in step["reasons"].items())
    counts = (f"{step[name]:,}" for name in ("before", "after", "removed", "changed"))
    return (step["name"], *counts, why)
