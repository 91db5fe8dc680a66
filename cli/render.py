"""`llmops render`: what the target would be handed for a spec."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Files, Format, Output

NAME = "render"


def command(
    file: Files = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no hub: use models that are here already.")
    ] = False,
    output: Output = Format.YAML,
) -> None:
    """Print the config that Ray Serve would be given; nothing is started."""
    from cli.output import Drawer, draw, print_data
    from cli.places import open_target
    from cli.specs import placed, read_spec
    from llmops import workflow

    loaded = read_spec(file)
    target = open_target()
    with placed(loaded):
        planned = draw(workflow.plan(target, loaded.deployment, offline=offline), Drawer())
    shown = Format.YAML if output is Format.TEXT else output
    print_data(target.render(planned.plan), shown)
