"""`llmops finetune logs`: what a run's programs have printed."""

from __future__ import annotations

from collections import deque
from typing import Annotated

import typer

from cli.finetune_options import Number, RunName

NAME = "logs"


def command(
    name: RunName,
    run: Number = None,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Only so many of the last lines.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for more, until the run has ended.")
    ] = False,
) -> None:
    """Print the log of a run, of every stage."""
    from cli.places import home
    from serving.finetune.runs import find, log_lines

    paths = find(home(), name, run)
    if lines is not None:
        for line in deque(log_lines(paths), maxlen=lines):
            typer.echo(line)
        if not follow:
            return
    for line in log_lines(paths, follow=follow, from_end=lines is not None):
        typer.echo(line)
