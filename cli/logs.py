"""`llmops logs`: what a release's engine has said."""

from __future__ import annotations

from collections import deque
from typing import Annotated

import typer

from cli.options import Context, Namespace, Service

NAME = "logs"


def command(
    name: Service,
    release: Annotated[
        int | None, typer.Option("--release", "-r", help="Release; default: the newest.")
    ] = None,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Only so many of the last lines.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Print the log of a release: its replica and its engine."""
    from cli.places import service_target

    target = service_target(name, context, namespace)
    if lines is not None:
        for line in deque(target.logs(name, release, follow=False), maxlen=lines):
            typer.echo(line)
        if not follow:
            return
    for line in target.logs(name, release, follow=follow):
        typer.echo(line)
