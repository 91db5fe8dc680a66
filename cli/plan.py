"""`llmops plan`: what a deploy would do, and why; nothing is started."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Files, Format, Output

NAME = "plan"


def command(
    file: Files = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no hub: use models that are here already.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show what a deploy would change, with every figure's reason."""
    from cli.output import Drawer, draw, print_data
    from cli.places import open_target
    from cli.plans import print_plan
    from cli.specs import placed, read_spec
    from llmops import workflow
    from llmops.planning import plan_document

    loaded = read_spec(file)
    with placed(loaded):
        flow = workflow.plan(open_target(), loaded.deployment, offline=offline)
        planned = draw(flow, Drawer())
    if output is Format.TEXT:
        print_plan(planned.plan)
        return
    live = planned.live.number if planned.live else None
    print_data(plan_document(planned.plan) | {"changed": planned.changed, "live": live}, output)
