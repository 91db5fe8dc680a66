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
    """Check a spec file; nothing is looked up or started."""
    from cli.output import print_data
    from cli.specs import read_spec

    deployment = read_spec([*(paths or []), *(file or [])]).deployment
    if output is Format.TEXT:
        typer.echo(f"valid: {deployment.kind} {deployment.name}, {deployment.model.source}")
    else:
        print_data(deployment.model_dump(mode="json"), output)
