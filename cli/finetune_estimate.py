"""`llmops finetune estimate`: what more data or a larger model would buy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from llmops.finetuning import Point
    from serving.finetune.estimating import Estimate

NAME = "estimate"


def command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Finished runs: NAME for all of it, or NAME/N."),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option("--points", metavar="FILE", help="Runs made elsewhere, as JSON Lines."),
    ] = None,
    times: Annotated[
        float, typer.Option("--times", min=1.0, help="How much more to ask about.")
    ] = 2.0,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.99, help="Of intervals, two-sided.")
    ] = 0.9,
    output: Output = Format.TEXT,
) -> None:
    """Fit a scaling law to finished runs and say what more data, parameters or compute would buy.

    It refuses (exit 3) too few runs, to ask far beyond them, and to tell a gain that they do not
    support.
    """
    from cli.output import print_data
    from serving.finetune.estimating import estimate

    found = estimate(_points(runs or [], points), times=times, confidence=confidence)
    if output is Format.TEXT:
        _print(found, times)
    else:
        print_data(found.document(), output)
    if not any(entry.known for entry in found.bought):
        from llmops.errors import RefusedError

        raise RefusedError(
            "these runs do not show that more of anything would help: every interval holds 0",
            hint="add runs that differ more in size, or repeat some with another seed",
        )


def _points(names: list[str], file: Path | None) -> tuple[Point, ...]:
    from cli.places import home
    from llmops.errors import InputError
    from serving.finetune.estimating import points_of_file, points_of_runs
    from serving.finetune.runs import find, listing

    if not names and file is None:
        raise InputError("there is nothing to estimate from", hint="name runs, or --points FILE")
    paths = []
    for text in names:
        name, _, number = text.partition("/")
        if number and not number.isdecimal():
            raise InputError(f"'{text}' is no run", hint="NAME, or NAME/N")
        if number:
            paths.append(find(home(), name, int(number)))
        else:
            paths += [seen.paths for seen in listing(home(), name) if seen.paths.result.exists()]
    elsewhere = points_of_file(file) if file is not None else ()
    return (*(points_of_runs(paths) if paths else ()), *elsewhere)


def _print(found: Estimate, times: float) -> None:
    from cli.output import print_table

    law = found.law
    terms = [f"{law.floor:.4g}"]
    terms += [f"{law.a:.4g} / N^{law.alpha:.3g}"] if law.a else []
    terms += [f"{law.b:.4g} / D^{law.beta:.3g}"] if law.b else []
    typer.echo(f"loss = {' + '.join(terms)}, from {len(found.points)} runs")
    typer.echo(f"the runs lie off it by {100 * found.noise:.2g} %\n")
    rows = []
    for entry in found.bought:
        step = entry.step
        says = f"{entry.gain:.4g} less" if entry.known else "cannot tell"
        rows.append((
            f"{times:g} x {step.what}", f"{step.parameters:.3g}", f"{step.tokens:.3g}",
            f"{entry.loss:.4g}", f"{entry.low:.4g} to {entry.high:.4g}", says,
        ))  # fmt: skip
    heads = ("MORE", "PARAMETERS", "TOKENS", "LOSS", f"GAIN AT {found.confidence:g}", "SAYS")
    print_table(heads, rows)
