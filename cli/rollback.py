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
    """Make a new release that repeats an earlier good one, and prove it.

    A release that is watched on some of the traffic (`maintenance.strategy: canary`) is taken back
    instead, while another command watches it too; the last good one gets all traffic again.
    """
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import owning, service_target
    from cli.policies import who
    from llmops import workflow
    from llmops.errors import RefusedError

    gate = gate_of(wait, emergency)
    may_ask(yes)
    target = owning(service_target(name, context, namespace), take_ownership)
    watched = None if release else workflow.going(target.store.read(name)[0])
    wanted = f"release {release}" if release else "the last good release before this one"
    question = f"Roll {name} back to {wanted}?"
    if watched is not None:
        question = f"Take release {watched.number} of {name} back, which is watched?"
    if not yes and not ask(question):
        raise RefusedError("nothing was changed")
    flow = verb_of(target, "rollback")(name, release, by=who(), gate=gate)
    finished = draw(flow, Drawer())
    made = finished.release
    if made is None:
        return
    if watched is not None and made.number != watched.number and made.rollback_of is None:
        said = f"release {watched.number} is taken back; release {made.number} serves"
    elif finished.changed:
        said = f"release {made.number} repeats release {made.rollback_of}"
    else:
        said = f"release {made.number} serves already"
    typer.echo(f"{name}: {said}; endpoint: {finished.url}")
