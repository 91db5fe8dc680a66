"""`llmops plan`: what a deploy would do, or what a model takes anywhere; starts nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import fleet_options as fleet
from cli.options import Files, Format, Output

NAME = "plan"


def command(
    file: Files = None,
    model: fleet.Model = None,
    on: fleet.On = None,
    catalog: fleet.Own = None,
    gpu: fleet.Gpu = None,
    count: fleet.Count = None,
    provider: fleet.Provider = None,
    region: fleet.Region = None,
    spot: fleet.Spot = False,
    budget: fleet.Budget = None,
    context: fleet.Context = None,
    in_flight: fleet.InFlight = None,
    tokens: fleet.Tokens = None,
    replicas: fleet.Replicas = None,
    tensor: fleet.Tensor = None,
    pipeline: fleet.Pipeline = None,
    data: fleet.Data = None,
    experts: fleet.Experts = False,
    top: fleet.Top = 10,
    rejected: fleet.Rejected = False,
    layouts: fleet.Layouts = None,
    explain: fleet.Explain = None,
    compare: fleet.Compare = None,
    plot: fleet.Plot = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no hub: use models that are here already.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show what a deploy would change, or where a model fits, with every figure's reason.

    With a spec it plans for this machine. With --model, or --on, it weighs the machines of the
    catalogue, or your own, and ranks them by what they cost an hour. Of kind FineTune it says what
    the training takes on this machine, or with --on on which machines it fits.
    """
    from cli import fleet as beyond
    from cli import plans
    from llmops.planning import fleet as planning

    wish = planning.Wish(
        context=context, in_flight=in_flight, tokens=tokens, replicas=replicas, gpu=gpu,
        count=count, providers=tuple(provider or ()), regions=tuple(region or ()), spot=spot,
        budget=budget, tensor=tensor, pipeline=pipeline, data=data, experts=experts,
    )  # fmt: skip
    shown = beyond.Shown(
        output=output, top=top, rejected=rejected, layouts=layouts, explain=explain,
        compare=compare, plot=plot,
    )  # fmt: skip
    shown.check()
    place = on or ("here" if model is None else "catalog")
    if place == "here":
        plans.run(file, model, catalog, wish, shown, offline=offline)
    else:
        beyond.run(file, model, place, catalog, wish, shown, offline=offline)
