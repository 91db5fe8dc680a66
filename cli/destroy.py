"""`llmops destroy`: take a service away."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.gates import Emergency, Wait, gate_of
from cli.options import Context, Namespace, Service, Yes

NAME = "destroy"


def command(
    name: Service,
    yes: Yes = False,
    wait: Wait = False,
    emergency: Emergency = None,
    context: Context = None,
    namespace: Namespace = None,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="On machines of a cloud: delete its bucket too, with history, weights and audit"
            " log.",
        ),
    ] = False,
) -> None:
    """Drain and remove a service, its keys, and a runtime that nobody else uses."""
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import purging, service_target
    from llmops.errors import RefusedError

    gate = gate_of(wait, emergency)
    may_ask(yes)
    target = service_target(name, context, namespace)
    if purge:
        purging(target)
    if not getattr(target, "stands", target.observe)(name):
        target.history(name)
    if not yes and not ask(f"Remove {name}, its releases and its keys?"):
        raise RefusedError("nothing was changed")
    finished = draw(verb_of(target, "destroy")(name, gate=gate), Drawer())
    said = "is gone" if finished.changed else "was gone already"
    stays = "nothing of it stays" if purge else "its history and the model cache stay"
    typer.echo(f"{name} {said}; {stays}")
