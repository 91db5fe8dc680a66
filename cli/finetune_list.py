"""`llmops finetune list`: the runs of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.finetunes import run_names
from cli.options import Format, Output

NAME = "list"


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="Only runs of this name.", metavar="[NAME]", autocompletion=run_names),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """List runs, oldest first."""
    from cli.finetunes import print_listing
    from cli.output import print_data, tell
    from cli.places import home
    from serving.finetune.runs import document, listing

    found = listing(home(), name)
    if output is not Format.TEXT:
        print_data({"runs": [document(seen) for seen in found]}, output)
        return
    if not found:
        tell("there is no run on this machine; llmops finetune run begins one")
        return
    print_listing(found)
