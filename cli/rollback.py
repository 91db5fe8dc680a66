"""`llmops rollback`: make an earlier good release serve again."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.gates import Emergency, Wait, gate_of
from cli.options import Context, Namespace, Owning, Service, Yes

NAME = "rollback"


def command(
    name: Service,
    release: Annotated[
        int | None,
        typer.Argument(
            help="Release to repeat; default: the last good one before.", metavar="[RELEASE]"
        ),
    ] = None,
    yes: Yes = False,
    take_ownership: Owning = False,
    wait: Wait = False,
    emergency: Emergency = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Make a new release that repeats an earlier good one, and prove it."""
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import owning, service_target
    from llmops.errors import RefusedError

    gate = gate_of(wait, emergency)
    may_ask(yes)
    target = owning(service_target(name, context, namespace), take_ownership)
    wanted = f"release {release}" if release else "the last good release before this one"
    if not yes and not ask(f"Roll {name} back to {wanted}?"):
        raise RefusedError("nothing was changed")
    finished = draw(verb_of(target, "rollback")(name, release, gate=gate), Drawer())
    made = finished.release
    if made is not None:
        said = f"repeats release {made.rollback_of}" if finished.changed else "serves already"
        typer.echo(f"{name}: release {made.number} {said}; endpoint: {finished.url}")
