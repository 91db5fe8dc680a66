"""`llmops validate`: say whether a spec is right, and everything that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Files, Format, Output

NAME = "validate"


def command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Spec files; '-' is standard input.", metavar="[FILE]..."),
    ] = None,
    file: Files = None,
    output: Output = Format.TEXT,
) -> None:
    """Check the file of a service or of a fine-tuning; nothing is looked up or started."""
    from cli.output import print_data, tell
    from cli.specs import read_any
    from llmops.spec import Loaded

    read = read_any([*(paths or []), *(file or [])])
    if not isinstance(read, Loaded):
        from llmops.finetuning.planning import warnings_of

        for warning in warnings_of(read.value):
            tell(f"warning: {warning}")
    spec = read.value
    if output is Format.TEXT:
        typer.echo(f"valid: {spec.kind} {spec.name}, {spec.model.source}")
    else:
        print_data(spec.model_dump(mode="json"), output)
