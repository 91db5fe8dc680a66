"""`llmops destroy`: take a service away."""

from __future__ import annotations

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
) -> None:
    """Drain and remove a service, its keys, and a runtime that nobody else uses."""
    from cli.output import Drawer, ask, draw, may_ask
    from cli.places import service_target
    from llmops import workflow
    from llmops.errors import RefusedError

    gate = gate_of(wait, emergency)
    may_ask(yes)
    target = service_target(name, context, namespace)
    if not target.observe(name):
        target.history(name)
    if not yes and not ask(f"Remove {name}, its releases and its keys?"):
        raise RefusedError("nothing was changed")
    finished = draw(workflow.destroy(target, name, gate=gate), Drawer())
    said = "is gone" if finished.changed else "was gone already"
    typer.echo(f"{name} {said}; its history and the model cache stay")
